-- what: spawn without ever letting the tasks begin
-- expect: exit=4 limit=cpu|memory
local function idle() end
while true do
  task.spawn(idle)
end
