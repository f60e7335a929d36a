-- what: C functions over long strings, one after the other
-- expect: exit=4 limit=cpu|memory
local s = ("aB"):rep(1000000)
while true do
  s = s:upper():lower():reverse()
end
