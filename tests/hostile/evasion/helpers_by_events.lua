-- what: ten tasks compute by turns; an event says whose turn it is
-- expect: exit=4 limit=cpu
for i = 1, 10 do
  task.spawn(function()
    while true do
      event.wait("turn " .. i)
      local until_then = os.clock() + 0.003
      while os.clock() < until_then do
      end
      event.emit("turn " .. i % 10 + 1)
    end
  end)
end
task.yield()
event.emit("turn 1")
