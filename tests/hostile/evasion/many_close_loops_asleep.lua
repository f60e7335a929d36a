-- what: thousands of waiting tasks whose cleanup never ends, and a busy one
-- expect: exit=4 limit=cpu
local function loop()
  while true do
  end
end
for _ = 1, 3000 do
  task.spawn(function()
    local _ <close> = setmetatable({}, { __close = loop })
    task.sleep(1000)
  end)
end
task.sleep(0)
loop()
