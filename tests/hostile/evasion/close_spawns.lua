-- what: spawn a successor when the kill unwinds
-- expect: exit=4 limit=cpu
local function live()
  local _ <close> = setmetatable({}, {
    __close = function()
      task.spawn(live)
    end,
  })
  while true do
  end
end
live()
