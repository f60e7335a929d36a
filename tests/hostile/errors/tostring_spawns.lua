-- what: an error whose __tostring spawns tasks when all should be over
-- expect: exit=1|4 limit=cpu|memory
local function live()
  while true do
    pcall(task.yield)
  end
end
error(setmetatable({}, {
  __tostring = function()
    task.spawn(live)
    return "spawned"
  end,
}))
