-- what: a stage that filters an endless source away
-- expect: exit=4 limit=cpu
local stream = require("stream")
stream
  .of(function()
    return "x"
  end)
  :filter(tonumber)
  :collect()
