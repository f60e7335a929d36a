-- what: spawn a successor whenever the end of the time arrives
-- expect: exit=124
-- options: --timeout 0.5
local function live()
  local _ <close> = setmetatable({}, {
    __close = function()
      task.spawn(live)
    end,
  })
  task.sleep(1000)
end
live()
