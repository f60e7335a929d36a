-- what: spawn and join for ever
-- expect: exit=4 limit=cpu
while true do
  task.spawn(task.yield):join()
end
