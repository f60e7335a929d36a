-- what: sleep for ever when the kill unwinds
-- expect: exit=4 limit=cpu
local _ <close> = setmetatable({}, {
  __close = function()
    while true do
      pcall(task.sleep, 1000)
    end
  end,
})
while true do
end
