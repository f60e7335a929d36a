-- what: drive a poller for ever, without and with a pause
-- expect: exit=4|124 limit=cpu
-- options: --timeout 2
local poll = task.pollable(function()
  channel.new():receive()
end)
local co = coroutine.wrap(poll)
while co() == task.POLL_PENDING do
  pcall(coroutine.wrap(poll))
end
