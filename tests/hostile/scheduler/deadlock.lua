-- what: wait for what never comes
-- expect: exit=3
event.wait("never")
