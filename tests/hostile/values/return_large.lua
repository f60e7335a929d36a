-- what: hand half a million values to Python
-- expect: exit=1 stderr=more than 200000 values
local t = {}
for i = 1, 500000 do
  t[i] = i
end
print("contained")
return t
