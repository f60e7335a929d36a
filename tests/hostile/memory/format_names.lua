-- what: a short template of objects with long names
-- expect: exit=4 limit=memory
local object = setmetatable({}, { __name = ("x"):rep(20000000) })
local list = {}
for i = 1, 20 do
  list[i] = object
end
string.format(("%s "):rep(20), table.unpack(list))
