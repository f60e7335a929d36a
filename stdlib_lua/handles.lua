--- Handles: what sandboxed scripts hold in place of our records.
--
-- Belongs here: the map from one to the other. A handle is an empty table with a locked metatable, so a
-- script sees no field of ours, and what it does to a handle we never read. Who makes them:
-- sandbox_tasks.lua, sandbox_objects.lua. Outside a sandbox there are none.

local setmetatable = setmetatable

return {
  -- handle -> task, promise, channel ...
  records = setmetatable({}, { __mode = "k" }),
}
