-- what: long date formats for ever
-- expect: exit=4 limit=cpu|memory
local format = ("%c %x "):rep(10000)
while true do
  os.date(format)
end
