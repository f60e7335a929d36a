-- what: one string of a megabyte as 1,500 results
-- expect: exit=4 limit=memory
local s, t = ("x"):rep(1000000), {}
for i = 1, 1500 do
  t[i] = s
end
return table.unpack(t)
