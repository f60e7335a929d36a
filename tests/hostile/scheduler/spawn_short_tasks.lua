-- what: spawn tasks that end at once, for ever
-- expect: exit=4 limit=cpu
local function idle() end
while true do
  task.spawn(idle)
  task.yield()
end
