--- Loads our own modules, apart from the script's `require`: boot(sources, door) -> embed.
--
-- Each file sees a `require` that knows only our files; the chunk names let tracebacks drop our frames.

local sources, door = ...
local loaded = { host_door = door }

local function require_ours(name)
  local found = loaded[name]
  if found == nil then
    local environment = setmetatable({}, { __index = _G })
    environment.require = door.require
    local chunk = assert(load(sources[name], "@[scheduler]/" .. name .. ".lua", "t", environment))
    found = chunk(name)
    loaded[name] = found
  end
  return found
end
door.require = require_ours

return require_ours("embed")
