-- what: two endless loops at the same time
-- expect: exit=4 limit=cpu
local function loop()
  while true do
  end
end
task.all({ loop, loop })
