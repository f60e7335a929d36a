-- what: a task that cancels itself and its scope at every chance
-- expect: exit=0 stdout=contained
local t = task.spawn(function()
  while true do
    task.current():cancel()
    pcall(task.scope, function(scope)
      scope:cancel()
      task.yield()
    end)
  end
end)
pcall(t.join, t)
print(t:status() == "cancelled" and "contained" or "ESCAPED: " .. t:status())
