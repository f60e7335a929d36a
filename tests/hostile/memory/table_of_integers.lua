-- what: an array that doubles its allocation
-- expect: exit=4 limit=memory
local t = {}
for i = 1, math.huge do
  assert(#t < i)
  t[i] = i
end
