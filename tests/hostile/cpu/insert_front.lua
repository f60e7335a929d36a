-- what: insert at the front of a long table for ever
-- expect: exit=4 limit=cpu
local t = {}
for i = 1, 100000 do
  t[i] = i
end
while true do
  table.insert(t, 1, table.remove(t))
end
