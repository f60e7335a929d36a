-- what: outlast the time in the cleanup
-- expect: exit=124
-- options: --timeout 0.5
local _ <close> = setmetatable({}, {
  __close = function()
    while true do
      pcall(task.shield, task.sleep, 1000)
    end
  end,
})
task.sleep(1000)
