-- what: print and write two hundred thousand values at once
-- expect: exit=0 stdout=contained
local t = {}
for i = 1, 200000 do
  t[i] = i
end
print(table.unpack(t))
io.write(table.concat(t), "\n")
io.write(table.unpack(t))
print("\ncontained")
