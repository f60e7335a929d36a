-- what: next looks for the only field of a large empty table, again and again
-- expect: exit=4 limit=cpu
local t = {}
for i = 1, 200000 do
  t["k" .. i] = i
end
for key in pairs(t) do
  t[key] = nil
end
while true do
  next(t)
end
