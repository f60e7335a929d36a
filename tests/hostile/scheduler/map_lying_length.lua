-- what: a list for task.map whose length is invented, mapped one at a time
-- expect: exit=1|4 stderr=bad argument limit=cpu|memory
task.map(
  setmetatable({}, {
    __len = function()
      return 1 << 40
    end,
    __index = function(_, i)
      return i
    end,
  }),
  task.yield,
  { limit = 1 }
)
