-- what: send into an unbounded channel for ever
-- expect: exit=4 limit=cpu|memory
local ch = channel.new(math.huge)
while true do
  ch:send(("x"):rep(100))
end
