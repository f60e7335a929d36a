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

--- Make a value that pollable functions give their resumer while the result is not there.
function M.new_pending()
  return setmetatable({}, {
    __name = "POLL_PENDING",
    __metatable = false,
    __newindex = function()
      error("POLL_PENDING cannot be changed", 2)
    end,
    __tostring = function()
      return "POLL_PENDING"
    end,
  })
end

--- Make `pollable` with such a value.
---@param pending table
---@return function
function M.maker(pending)
  --- Make a function that runs `fn(...)` as a task and, in a coroutine of the script's own, yields
  -- POLL_PENDING until that has ended; called anywhere else it waits. Its values and errors are fn's.
  ---@param fn function
  ---@return function
  return function(fn)
    check_callable(1, "pollable", fn)
    local run = require("poller").run
    return function(...)
      return run(pending, fn, ...)
    end
  end
end

M.POLL_PENDING = M.new_pending()
M.pollable = M.maker(M.POLL_PENDING)

return M
