-- what: timers that make timers
-- expect: exit=4 limit=cpu|memory|tasks
-- options: --max-tasks 2000
local timer = require("timer")
local function again()
  timer.after(0, again)
  timer.after(0, again)
end
again()
