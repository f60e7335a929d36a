-- what: thousands of busy tasks whose cleanup never ends
-- expect: exit=4 limit=cpu
local function loop()
  while true do
  end
end
for _ = 1, 3000 do
  task.spawn(function()
    local _ <close> = setmetatable({}, { __close = loop })
    loop()
  end)
end
