--- The `event` library of one script: its names are its own.
--
-- Belongs here: the namespaces. A script's emit wakes its own tasks and the Python program; what Python emits
-- reaches every script. Scripts cannot wake one another or listen to one another.

local event = require("event")
local values_module = require("sandbox_values")

local setmetatable, type, find, pairs = setmetatable, type, string.find, pairs
local sort = table.sort
local wait, emit = event.wait, event.emit
local copies = values_module.copies

local M = {}

-- Of the scripts that live, by number: what stands before a name. It ends in a NUL, and a script's name that
-- holds one never reaches the names without a prefix, so no script can spell a name of another.
local prefixes = setmetatable({}, { __mode = "v" })
local last = 0

--- Make the library of one script.
---@param box table stands for the script
---@return table library
function M.new(box)
  last = last + 1
  local prefix = "script " .. last .. "\0"
  box.events, prefixes[last] = prefix, box

  return {
    wait = function(name, timeout)
      return wait(type(name) == "string" and prefix .. name or name, timeout)
    end,
    emit = function(name, ...)
      if type(name) ~= "string" then
        return emit(name)
      end
      local woken = emit(prefix .. name, ...)
      if not find(name, "\0", 1, true) then
        woken = woken + emit(name, ...)
      end
      return woken
    end,
  }
end

--- Python emits: the tasks of every script wake, each script with values of its own.
---@return integer woken
function M.emit(name, ...)
  local woken = emit(name, ...)
  local numbers = {}
  for number in pairs(prefixes) do
    numbers[#numbers + 1] = number
  end
  sort(numbers) -- the oldest script first
  for i = 1, #numbers do
    woken = woken + emit(prefixes[numbers[i]].events .. name, copies(...))
  end
  return woken
end

return M
