-- what: a chunk name of fifty megabytes, kept by every function
-- expect: exit=4 limit=cpu|memory
local kept = {}
while true do
  kept[#kept + 1] = load("return 1", "=" .. ("x"):rep(20000000) .. #kept)
end
