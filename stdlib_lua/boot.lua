--- Loads our own modules, apart from the script's `require`: boot(door) -> embed.
--
-- `door.source(name)` gives the text of a file, nil when there is no memory for it, or what `door.keep` was
-- given by an earlier runtime: the file compiled. Each file sees a `require` that knows only our files; the
-- chunk names let tracebacks drop our frames.

local door = ...
-- Lua's own, also when a script has begun.
local load, setmetatable, error, dump, sub = load, setmetatable, error, string.dump, string.sub
local loaded = { host_door = door }
local environments = {}

-- Lua's own library as it is now, for our files that are loaded when a script first asks for them.
local pristine = {}
for name, value in pairs(_G) do
  if type(value) == "table" and value ~= _G then
    local copy = {}
    for key, field in pairs(value) do
      copy[key] = field
    end
    value = copy
  end
  pristine[name] = value
end

-- A global that one of our files did not take while it was loaded, it may not have: scripts replace them.
local guard = {
  __index = function(_, name)
    error("the scheduler's own file uses the global '" .. name .. "' without having taken it", 2)
  end,
}
local sealed = false

local function require_ours(name)
  local found = loaded[name]
  if found == nil then
    local environment = setmetatable({}, { __index = pristine })
    environments[#environments + 1] = environment
    environment.require = door.require
    local source = door.source and door.source(name)
    if not source then
      -- Lua's own words: with a memory limit the limit is meant.
      error(door.source and "not enough memory" or "the runtime is closed", 0)
    end
    local chunk = assert(load(source, "@[scheduler]/" .. name .. ".lua", "bt", environment))
    if sub(source, 1, 1) ~= "\27" then
      door.keep(name, dump(chunk))
    end
    found = chunk(name)
    loaded[name] = found
    if sealed then
      setmetatable(environment, guard)
    end
  end
  return found
end
door.require = require_ours

local embed = require_ours("embed")

sealed = true
for _, environment in ipairs(environments) do
  setmetatable(environment, guard)
end

return embed
