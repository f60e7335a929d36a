-- what: process for ever while nothing is pending but one
-- expect: exit=4|124 limit=cpu
-- options: --timeout 2
local callback = require("callback")
callback.wrap(task.sleep)(1000, function() end)
while true do
  callback.process()
end
