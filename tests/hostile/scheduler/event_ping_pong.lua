-- what: two tasks wake each other for ever
-- expect: exit=4 limit=cpu
task.spawn(function()
  while true do
    event.wait("ping")
    event.emit("pong")
  end
end)
task.yield()
while true do
  event.emit("ping")
  event.wait("pong")
end
