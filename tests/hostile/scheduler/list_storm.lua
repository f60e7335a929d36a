-- what: list ten thousand tasks for ever
-- expect: exit=4 limit=cpu|memory
for _ = 1, 10000 do
  task.spawn(task.sleep, 1000)
end
while true do
  task.list()
end
