-- what: streams and subscriptions with iterators that close badly
-- expect: exit=0|1|4 limit=cpu
local stream = require("stream")
local closer = setmetatable({}, {
  __close = function()
    while true do
      pcall(task.yield)
    end
  end,
})
task.timeout(0.05, function()
  stream
    .of(function()
      task.sleep(1000)
    end, nil, nil, closer)
    :buffer(1)
    :collect()
end)
