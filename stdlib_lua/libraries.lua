--- The libraries built on tasks: which of them are global, which come by `require` alone.
--
-- Belongs here: their names. A library's own file says in its field `public` what scripts see of it.

local pairs, require = pairs, require

local M = {}

-- Global, and found by `require` as well.
M.global = {
  channel = require("channel").public,
  sync = require("sync").public,
  promise = require("promise").public,
}

-- Found by `require` alone, and loaded then: opening a runtime should not pay for what few scripts use.
M.by_require = { "broadcast", "callback", "emitter", "net", "stream", "timer" }

--- What scripts see of one of them.
---@param name string
---@return table
function M.public(name)
  return require(name).public
end

--- Give them to scripts that are not sandboxed.
---@param globals table
function M.install(globals)
  local loaded, preload = globals.package.loaded, globals.package.preload
  for name, public in pairs(M.global) do
    globals[name], loaded[name] = public, public
  end
  for i = 1, #M.by_require do
    local name = M.by_require[i]
    preload[name] = function()
      return require(name).public
    end
  end
end

return M
