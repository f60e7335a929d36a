--- Coroutines whose task has ended, ready for another.
--
-- Making a coroutine costs more than all the rest of a spawn, so they are used again. One that a script
-- has seen (coroutine.running) is not: it may be a key in the script's tables.

local setmetatable = setmetatable

local M = {}

local spare, size = {}, 0
local MAX = 1000 -- about 1 MB

--- Coroutines that scripts have seen.
M.seen = setmetatable({}, { __mode = "k" })
local seen = M.seen

--- Take a spare coroutine, or nil.
function M.take()
  if size == 0 then
    return nil
  end
  local co = spare[size]
  spare[size] = nil
  size = size - 1
  return co
end

--- Keep `co`, whose task has ended.
function M.give(co)
  if size < MAX and not seen[co] then
    size = size + 1
    spare[size] = co
  end
end

return M
