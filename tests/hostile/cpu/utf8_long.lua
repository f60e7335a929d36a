-- what: count the characters of a long string for ever
-- expect: exit=4 limit=cpu
local s = utf8.char(0x10FFFF):rep(500000)
while true do
  utf8.len(s)
end
