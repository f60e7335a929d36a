-- what: table.concat with a large separator
-- expect: exit=4 limit=memory
local t = {}
for i = 1, 1000 do
  t[i] = ""
end
print(#table.concat(t, ("x"):rep(1000000)))
