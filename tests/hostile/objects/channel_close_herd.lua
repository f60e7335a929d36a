-- what: close a channel with as many senders as there is memory for
-- expect: exit=0|4 stdout=contained limit=cpu
local ch, n = channel.new(), 30000
for _ = 1, n do
  task.spawn(function()
    pcall(ch.send, ch, 1)
    n = n - 1
  end)
end
task.sleep(0)
ch:close()
while n > 0 do
  task.yield()
end
print("contained")
