-- what: a table that says of itself that it never ends, handed to Python
-- expect: exit=0|1|4 stdout=contained stderr=result limit=cpu|memory
print("contained")
return setmetatable({}, {
  __len = function()
    return 1 << 60
  end,
  __index = function(_, i)
    return i
  end,
  __pairs = function()
    return function(_, i)
      return (i or 0) + 1, 1
    end
  end,
})
