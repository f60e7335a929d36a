-- what: table.concat of one large string a thousand times
-- expect: exit=4 limit=memory
local t = {}
local s = ("x"):rep(1000000)
for i = 1, 1000 do
  t[i] = s
end
print(#table.concat(t))
