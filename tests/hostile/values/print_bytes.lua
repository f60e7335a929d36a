-- what: print every byte, with NUL and broken UTF-8 among them
-- expect: exit=0 stdout=contained
local bytes = {}
for i = 0, 255 do
  bytes[i + 1] = string.char(i)
end
io.write(table.concat(bytes), "\n")
print("\237\160\128", "\0", "\255")
print("contained")
