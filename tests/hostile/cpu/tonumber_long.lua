-- what: read numbers of a hundred thousand digits
-- expect: exit=4 limit=cpu
local digits = "0x" .. ("f"):rep(100000) .. "p1"
while true do
  tonumber(digits)
end
