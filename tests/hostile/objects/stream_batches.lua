-- what: batches of batches without an end
-- expect: exit=4 limit=cpu|memory
local stream = require("stream")
stream
  .of(function()
    return {}
  end)
  :batch(1e15)
  :batch(1e15, 1000)
  :collect()
