-- what: one string of a megabyte in a table 1,500 times: Python makes a copy of each
-- expect: exit=1 stderr=more than 67108864 bytes of strings
local s, t = ("x"):rep(1000000), {}
for i = 1, 1500 do
  t[i] = s
end
return t
