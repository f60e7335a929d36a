-- what: keep varargs as tables
-- expect: exit=4 limit=memory
local source, kept = {}, {}
for i = 1, 100000 do
  source[i] = i
end
while true do
  kept[#kept + 1] = table.pack(table.unpack(source))
end
