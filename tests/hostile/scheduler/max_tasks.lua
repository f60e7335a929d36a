-- what: more tasks than allowed
-- expect: exit=4 limit=tasks
-- options: --max-tasks 50
while true do
  task.spawn(task.sleep, 1000)
end
