-- what: shield inside shield inside a protected loop
-- expect: exit=4 limit=cpu
local function loop()
  while true do
  end
end
while true do
  pcall(task.shield, task.shield, pcall, loop)
end
