-- what: compile functions with large constants and keep them
-- expect: exit=4 limit=cpu|memory
local kept = {}
while true do
  kept[#kept + 1] = load("return '" .. ("x"):rep(1000000) .. #kept .. "'")
end
