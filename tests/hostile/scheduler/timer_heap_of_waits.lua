-- what: waits with far deadlines that are woken at once
-- expect: exit=4 limit=cpu|memory
task.spawn(function()
  while true do
    event.wait("tick", 1e9)
  end
end)
while true do
  event.emit("tick")
  task.yield()
end
