-- what: make garbage of a megabyte as fast as possible; nothing is kept
-- expect: exit=4 limit=cpu|memory
local n = 0
while true do
  n = n + 1
  local _ = ("x"):rep(1000000) .. n
end
