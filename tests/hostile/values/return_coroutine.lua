-- what: hand a coroutine to Python
-- expect: exit=1 stderr=cannot be handed to Python
return coroutine.create(print)
