--- Loads our own modules, apart from the script's `require`: boot(sources, door) -> embed.
--
-- Each file sees a `require` that knows only our files; the chunk names let tracebacks drop our frames.

local sources, door = ...
local loaded = { host_door = door }
local environments = {}

local function require_ours(name)
  local found = loaded[name]
  if found == nil then
    local environment = setmetatable({}, { __index = _G })
    environments[#environments + 1] = environment
    environment.require = door.require
    local chunk = assert(load(sources[name], "@[scheduler]/" .. name .. ".lua", "t", environment))
    found = chunk(name)
    loaded[name] = found
  end
  return found
end
door.require = require_ours

local embed = require_ours("embed")

-- From now on scripts may replace every global; what ours did not take while loading, it may not have.
local guard = {
  __index = function(_, name)
    error("the scheduler's own file uses the global '" .. name .. "' without having taken it", 2)
  end,
}
for _, environment in ipairs(environments) do
  setmetatable(environment, guard)
end

return embed
