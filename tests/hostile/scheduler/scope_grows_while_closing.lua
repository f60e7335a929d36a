-- what: children that spawn children into a scope that is cancelled
-- expect: exit=0 stdout=contained
local spawned = 0
task.scope(function(scope)
  local function child()
    local _ <close> = setmetatable({}, {
      __close = function()
        spawned = spawned + 1
        pcall(scope.spawn, scope, child)
      end,
    })
    task.sleep(1000)
  end
  scope:spawn(child)
  task.yield()
  scope:cancel()
end)
print(spawned < 10 and "contained" or "ESCAPED: spawned " .. spawned)
