-- what: raise a coroutine
-- expect: exit=1 stderr=thread
error((coroutine.running()))
