-- what: return a hundred thousand values
-- expect: exit=0 stdout=contained
local t = {}
for i = 1, 100000 do
  t[i] = i
end
print("contained")
return table.unpack(t)
