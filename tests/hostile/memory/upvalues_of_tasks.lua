-- what: tasks that each hold a large string in their arguments
-- expect: exit=4 limit=cpu|memory
for i = 1, math.huge do
  task.spawn(task.sleep, 1000, ("x"):rep(1000000) .. i)
end
