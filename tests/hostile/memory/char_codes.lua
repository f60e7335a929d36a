-- what: strings made of many codes, kept
-- expect: exit=4 limit=cpu|memory
local kept, codes = {}, {}
for i = 1, 100000 do
  codes[i] = 0x10FFFF
end
while true do
  kept[#kept + 1] = utf8.char(table.unpack(codes)) .. #kept
end
