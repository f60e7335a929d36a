-- what: hand a task to Python
-- expect: exit=0|1 stdout=contained stderr=result
print("contained")
return task.current()
