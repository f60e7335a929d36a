-- what: pcall calls pcall calls pcall
-- expect: exit=0 stdout=contained
local arguments = {}
for i = 1, 100000 do
  arguments[i] = pcall
end
pcall(table.unpack(arguments))
print("contained")
