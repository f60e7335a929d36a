-- what: thirty thousand receivers, cancelled together
-- expect: exit=0|4 stdout=contained limit=cpu|memory
local ch = channel.new()
task.timeout(0.2, function()
  for _ = 1, 30000 do
    task.spawn(ch.receive, ch)
  end
end)
print(ch:statistics().receivers_waiting == 0 and "contained" or "ESCAPED")
