-- what: two tasks that send to each other for ever
-- expect: exit=4 limit=cpu
local a, b = channel.new(), channel.new()
task.spawn(function()
  for v in a:iter() do
    b:send(v)
  end
end)
while true do
  a:send(1)
  b:receive()
end
