-- what: a table whose __call is the table itself; Lua 5.5 counts such chains
-- expect: exit=1 stderr='__call' chain too long
-- engines: lua55
local t = {}
setmetatable(t, { __call = t })
t()
