-- what: options whose __pairs never ends
-- expect: exit=0|1|4 stdout=contained stderr=bad argument limit=cpu
local options = setmetatable({}, {
  __pairs = function()
    return function()
      return "name", "x"
    end
  end,
})
task.spawn_with(options, task.yield)
print("contained")
