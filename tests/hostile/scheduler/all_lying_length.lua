-- what: a list for task.all whose length is invented
-- expect: exit=1|4 stderr=bad argument limit=cpu|memory
task.all(setmetatable({}, {
  __len = function()
    return 1 << 40
  end,
  __index = function()
    return task.yield
  end,
}))
