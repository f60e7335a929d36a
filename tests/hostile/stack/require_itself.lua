-- what: a module that requires itself
-- expect: exit=1 stderr=require_itself
local depth = (rawget(_G, "depth") or 0) + 1
_G.depth = depth
require("require_itself")
error("require_itself came back at depth " .. depth)
