-- what: a hundred thousand handlers are ready when their scope is cancelled
-- expect: exit=0|4 stdout=contained limit=cpu|memory
local n = 0
task.scope(function(scope)
  local p = promise.resolve(1)
  for _ = 1, 100000 do
    p:next(function()
      n = n + 1
    end)
  end
  scope:cancel()
end)
print(n < 100000 and "contained" or "ESCAPED")
