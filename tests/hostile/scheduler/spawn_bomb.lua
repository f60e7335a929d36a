-- what: spawn tasks that never end
-- expect: exit=4 limit=memory
while true do
  task.spawn(task.sleep, 1000)
end
