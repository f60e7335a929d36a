-- what: a pack format of a hundred thousand items
-- expect: exit=4 limit=cpu
local format = ("!16i1"):rep(100000)
while true do
  string.packsize(format)
end
