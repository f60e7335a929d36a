-- what: timers that make timers
-- expect: exit=4 limit=cpu|memory
local timer = require("timer")
local function again()
  timer.after(0, again)
  timer.after(0, again)
end
again()
