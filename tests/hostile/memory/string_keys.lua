-- what: intern short strings and keep them
-- expect: exit=4 limit=cpu|memory
local t = {}
for i = 1, math.huge do
  assert(not t["key " .. i])
  t["key " .. i] = true
end
