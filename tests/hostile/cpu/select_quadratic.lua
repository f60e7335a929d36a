-- what: walk through varargs with select, at the price of their square
-- expect: exit=4 limit=cpu
local function sum(...)
  local total = 0
  for i = 1, select("#", ...) do
    total = total + (select(i, ...))
  end
  return total
end
local t = {}
for i = 1, 100000 do
  t[i] = i
end
while true do
  sum(table.unpack(t))
end
