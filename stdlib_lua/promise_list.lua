--- The promises that `all`, `any` and so on (promise_combinators.lua) are given.
--
-- A list as long as a script wants, whose metamethods may be the script's: a preemption may come between any
-- two instructions here. Nothing waits for these promises yet.

local kernel = require("kernel")
local deferred = require("deferred")
local rejections = require("rejections")
local resolution = require("resolution")

local getmetatable = getmetatable
local Promise, new, hear, resolve =
  deferred.Promise, deferred.new, rejections.hear, resolution.resolve
local leave, Task = resolution.leave, kernel.Task

local M = {}

--- A promise for each of the first `n` items; somebody will have heard of their rejections.
---@param scope table where the promises of tasks, thenables and plain values belong
---@return table[] promises
function M.promises(list, n, scope)
  local sources = {}
  for i = 1, n do
    local source = list[i]
    if getmetatable(source) ~= Promise then
      local promise = new(scope, false)
      resolve(promise, source)
      source = promise
      promise.ours = getmetatable(promise.source) == Task or nil
    end
    hear(source) -- of those, too, that come too late to matter
    sources[i] = source
  end
  return sources
end

--- Call `attach(group, i, source)` for each source, until it returns true. If the group is decided by
-- then, what was made for it goes.
function M.attach(group, sources, attach)
  for i = 1, #sources do
    if attach(group, i, sources[i]) then
      break
    end
  end
  if group.promise.state then
    for i = 1, #sources do
      if sources[i].ours then
        leave(sources[i])
      end
    end
  end
end

return M
