-- what: sort large tables for ever, without a comparator
-- expect: exit=4 limit=cpu
local t = {}
while true do
  for i = 1, 300000 do
    t[i] = math.random(1 << 30)
  end
  table.sort(t)
end
