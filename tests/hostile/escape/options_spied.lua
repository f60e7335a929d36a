-- what: __index, __pairs and __len of an options table see the library's values
-- expect: exit=0 stdout=contained
local leaked
local spy = setmetatable({}, {
  __index = function(_, key)
    leaked = leaked or type(key) ~= "string" and type(key) ~= "number" and type(key)
  end,
  __pairs = function(_, ...)
    leaked = leaked or select("#", ...) > 0 and "values for __pairs"
    return next, {}
  end,
  __len = function(_, extra)
    leaked = leaked or extra ~= nil and not rawequal(extra, _) and "a value for __len"
    return 1
  end,
})
pcall(task.spawn_with, spy, task.yield)
pcall(task.all, spy)
pcall(task.race, spy)
pcall(task.map, spy, task.yield, spy)
pcall(task.limit, spy, task.yield)
print(leaked and "ESCAPED: " .. leaked or "contained")
