-- what: fill a table
-- expect: exit=4 limit=memory
local t = {}
while t do
  t[#t + 1] = {}
end
