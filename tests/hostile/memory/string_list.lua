-- what: keep many strings of a megabyte
-- expect: exit=4 limit=memory
local kept = {}
while true do
  kept[#kept + 1] = ("x"):rep(1000000) .. #kept
end
