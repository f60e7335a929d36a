-- what: preallocate huge tables, new in Lua 5.5
-- expect: exit=4 limit=memory
-- engines: lua55
local kept = {}
while true do
  kept[#kept + 1] = rawget(table, "create")(10000000)
end
