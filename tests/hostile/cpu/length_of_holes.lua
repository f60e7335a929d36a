-- what: count the fields of a table by its border for ever
-- expect: exit=4 limit=cpu
local t = { n = 0 }
while true do
  t[#t + 1] = t.n
  t[#t] = nil
  assert(t.n == 0)
end
