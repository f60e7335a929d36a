-- what: a scope's body that never ends, with children that never end
-- expect: exit=4 limit=cpu
local function loop()
  while true do
    pcall(task.yield)
  end
end
task.scope(function(scope)
  scope:spawn(loop)
  scope:spawn_with({ background = true }, loop)
  loop()
end)
