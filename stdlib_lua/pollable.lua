--- task.pollable: functions for coroutines that a script drives by hand until their result is there.
--
--     local co = coroutine.wrap(task.pollable(fn))
--     local r = co(...)
--     while r == task.POLL_PENDING do
--       coroutine.yield()
--       r = co()
--     end
--
-- Belongs here: what scripts see of them. How they wait: poller.lua, loaded when it is needed.

local failure = require("failure")

local setmetatable, error, require = setmetatable, error, require
local check_callable = failure.check_callable

local M = {}

--- What a pollable function gives its resumer while the result is not there.
M.POLL_PENDING = setmetatable({}, {
  __name = "POLL_PENDING",
  __metatable = false,
  __newindex = function()
    error("POLL_PENDING cannot be changed", 2)
  end,
  __tostring = function()
    return "POLL_PENDING"
  end,
})

--- Make a function that runs `fn(...)` as a task and, in a coroutine of the script's own, yields POLL_PENDING
-- until that has ended; called anywhere else it waits. Its values and errors are fn's.
---@param fn function
---@return function
function M.pollable(fn)
  check_callable(1, "pollable", fn)
  local run = require("poller").run
  return function(...)
    return run(fn, ...)
  end
end

return M
