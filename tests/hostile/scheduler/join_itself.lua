-- what: a task joins itself
-- expect: exit=1 stderr=cannot join itself
task.current():join()
