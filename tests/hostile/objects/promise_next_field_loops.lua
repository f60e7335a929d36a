-- what: a table whose field `next` never comes
-- expect: exit=4 limit=cpu
promise
  .resolve(setmetatable({}, {
    __index = function()
      while true do
      end
    end,
  }))
  :await()
