-- what: raise a task
-- expect: exit=1 stderr=task
error(task.current())
