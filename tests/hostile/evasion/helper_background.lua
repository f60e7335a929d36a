-- what: a background helper restarts the work when it is cut short
-- expect: exit=4 limit=cpu
local function loop()
  while true do
  end
end
task.spawn_with({ background = true }, function()
  while true do
    local t = task.spawn(loop)
    pcall(t.join, t)
  end
end)
loop()
