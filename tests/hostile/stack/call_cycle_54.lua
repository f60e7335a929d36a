-- what: a table whose __call is the table itself: one call instruction shifts its arguments for minutes
-- expect: exit=4 limit=cpu
-- engines: lua54
-- note: single C call
local t = {}
setmetatable(t, { __call = t })
t()
