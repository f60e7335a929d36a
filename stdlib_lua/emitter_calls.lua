--- What an emitted event leads to: whose names it matches, and the beginning of the handlers.
--
-- As many as a script wants, so a preemption may come between any two instructions here: what is walked are
-- copies, and a handler may have gone meanwhile.

local kernel = require("kernel")

local spawn, find, sub, rawequal = kernel.spawn, string.find, string.sub, rawequal

local M = {}

--- The parts of a name, between its dots.
---@return string[]
function M.split(name)
  local parts, first = {}, 1
  while true do
    local dot = find(name, ".", first, true)
    parts[#parts + 1] = sub(name, first, dot and dot - 1)
    if not dot then
      return parts
    end
    first = dot + 1
  end
end

local function matches(pattern, parts)
  local n = #pattern
  if pattern[n] == "**" then
    if #parts < n then
      return false
    end
    n = n - 1
  elseif #parts ~= n then
    return false
  end
  for i = 1, n do
    if pattern[i] ~= "*" and pattern[i] ~= parts[i] then
      return false
    end
  end
  return true
end

--- Append to `ears` those of `candidates` whose names match.
---@param ears table[]
---@param candidates table[] with their `parts`
---@param name string of the event
function M.add_matching(ears, candidates, name)
  local parts = M.split(name)
  for i = 1, #candidates do
    if matches(candidates[i].parts, parts) then
      ears[#ears + 1] = candidates[i]
    end
  end
end

--- Remove those handlers that call `fn`, or, without one, all.
---@return integer removed
function M.remove(handlers, fn, unregister)
  local removed = 0
  for i = 1, #handlers do
    if fn == nil or rawequal(handlers[i].fn, fn) then
      removed = removed + unregister(handlers[i])
    end
  end
  return removed
end

--- Begin the handlers that are still registered.
---@param handlers table[] in order
---@param plain table the event's values, packed
---@param named table the same after its name, for names with wildcards
---@param unregister function
---@return integer count
function M.begin(handlers, plain, named, unregister)
  local count = 0
  for i = 1, #handlers do
    local handler = handlers[i]
    local ear = handler.ear
    if ear and not handler.home.closed then
      count = count + 1
      if handler.once then
        unregister(handler)
      end
      spawn(handler.home, handler.fn, ear.parts and named or plain, handler.options)
    end
  end
  return count
end

return M
