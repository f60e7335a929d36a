-- what: a handler that emits its own event
-- expect: exit=4 limit=cpu|memory|tasks
-- options: --max-tasks 2000
local e = require("emitter").new()
for _ = 1, 2 do
  e:on("x", function()
    e:emit("x")
  end)
end
e:emit("x")
