-- what: integer keys that all fall into one slot of the hash part
-- expect: exit=4 limit=cpu
-- note: single C call
local size = 1 << 16
local t = {}
for i = 1, size do
  t[i * (size - 1) * 1024] = true
end
while true do
  for i = 1, size do
    t[-i * (size - 1) * 1024] = nil
  end
  assert(next(t))
end
