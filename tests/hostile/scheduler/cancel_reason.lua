-- what: a hostile table as the reason of a cancellation
-- expect: exit=0 stdout=contained
local reason = setmetatable({}, {
  __tostring = function()
    error("no text")
  end,
  __concat = function()
    error("no concatenation")
  end,
})
local t = task.spawn(task.sleep, 1000)
pcall(t.cancel, t, reason)
pcall(t.cancel, t)
pcall(t.join, t)
task.scope(function(scope)
  pcall(scope.cancel, scope, reason)
  pcall(scope.cancel, scope)
end)
print("contained")
