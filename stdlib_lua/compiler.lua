--- Sources become functions piece by piece.
--
-- Belongs here: compiling so that it can be preempted and killed. Lua compiles in one call of a C function,
-- and a source made for it keeps that busy for seconds (docs/security.md); but the compiler asks a reader for
-- the source, and the reader is a Lua function, where the hook can run. What scripts call as `load`:
-- guard_basics.lua, sandbox_code.lua.

local guarded = require("coroutine")
local reader_of = require("guard_basics").reader_of

local load, error, setmetatable = load, error, setmetatable
local infinity = math.huge

local M = {}

-- What Python spawns is compiled at once up to this length: 20 ms for the worst, and `spawn` raises.
local AT_ONCE = 65536

--- As Lua's `load` of a string, piece by piece.
M.load = guarded.wrap_load(function(text, name, ...)
  return load(reader_of(text), name or text, ...)
end)

-- Values that say "does not compile" -> true: only ours.
local refused = setmetatable({}, { __mode = "k" })

local text_of = {
  __tostring = function(value)
    return value.message
  end,
}

--- The message of a source that did not compile, or nil when the error is another.
function M.refusal(value)
  return refused[value] and value.message
end

--- Compile now, or, where that could take long, when the task runs.
---@param compile function(source, name, env) -> function or nil, message; can be preempted
---@param limited boolean whether the task is to be stopped when it takes long
---@return function|nil fn, string|nil message
function M.prepare(compile, limited, source, name, env)
  if #source <= (limited and AT_ONCE or infinity) then
    return compile(source, name, env)
  end
  return function(...)
    local fn, message = compile(source, name, env)
    if not fn then
      local err = setmetatable({ message = message }, text_of)
      refused[err] = true
      error(err, 0)
    end
    source = nil
    return fn(...)
  end
end

return M
