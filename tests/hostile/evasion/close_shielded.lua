-- what: a shielded sleep when the kill unwinds
-- expect: exit=4 limit=cpu
local _ <close> = setmetatable({}, {
  __close = function()
    task.shield(task.sleep, 1000)
  end,
})
while true do
end
