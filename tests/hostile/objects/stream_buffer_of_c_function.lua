-- what: read ahead without an end from a function written in C
-- expect: exit=4 limit=cpu|memory
local stream = require("stream")
stream.of(type, 1):buffer(1e15):take(2):each(function()
  task.sleep(1000)
end)
