-- what: hand half a million values to Python
-- expect: exit=0|4 stdout=contained limit=memory
local t = {}
for i = 1, 500000 do
  t[i] = i
end
print("contained")
return t
