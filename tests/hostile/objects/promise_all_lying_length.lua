-- what: promise.all of a list with an invented length
-- expect: exit=1|4 limit=cpu|memory
promise
  .all(setmetatable({}, {
    __len = function()
      return 1 << 40
    end,
    __index = function(_, key)
      return key ~= "n" and 1 or nil
    end,
  }))
  :await()
