-- what: wake ten thousand waiters again and again
-- expect: exit=4 limit=cpu
for _ = 1, 10000 do
  task.spawn(function()
    while true do
      event.wait("herd")
    end
  end)
end
while true do
  task.yield()
  event.emit("herd")
end
