--- The script's `timer` library: functions called later, again and again, or not so often.
--
-- Belongs here: the list. A timer's function runs in a task of the scope that made the timer: its error is
-- that scope's, and so are its limits.

local clocks = require("timer_clock")
local calls = require("timer_calls")

local M = {}

M.public = {
  after = clocks.after,
  debounce = calls.debounce,
  every = clocks.every,
  throttle = calls.throttle,
}

return M
