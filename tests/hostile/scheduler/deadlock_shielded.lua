-- what: a deadlock inside a shield
-- expect: exit=3
task.shield(event.wait, "never")
