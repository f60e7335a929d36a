-- what: a broadcast with fifty thousand subscriptions that nobody reads
-- expect: exit=0|4 limit=cpu|memory stdout=contained
local broadcast = require("broadcast")
local news = broadcast.new(2, { policy = "close" })
task.scope(function()
  for _ = 1, 50000 do
    news:subscribe()
  end
  for i = 1, 10 do
    news:send(i)
  end
  for _ = 1, 50000 do
    news:subscribe()
  end
end)
while news:statistics().subscriptions > 0 do
  task.yield()
end
print("contained")
