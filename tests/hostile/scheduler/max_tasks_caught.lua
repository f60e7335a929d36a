-- what: more tasks than allowed, in protected calls
-- expect: exit=4 limit=tasks
-- options: --max-tasks 50
while true do
  pcall(task.spawn, task.sleep, 1000)
  pcall(task.yield)
end
