-- what: a thousand executors in one another that wait
-- expect: exit=3|4 limit=cpu|memory
-- note: deep stack
-- isolate: exit=3|4 limit=cpu|memory
local function executor()
  promise.new(executor)
  promise.new(function()
    channel.new():receive()
  end)
  channel.new():receive()
end
promise.new(executor)
