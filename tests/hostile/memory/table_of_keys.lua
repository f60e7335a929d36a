-- what: a hash part that doubles its allocation
-- expect: exit=4 limit=memory
local t = {}
for i = 1, math.huge do
  assert(not t[i + 0.5])
  t[i + 0.5] = true
end
