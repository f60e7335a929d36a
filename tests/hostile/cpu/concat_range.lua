-- what: table.concat over a range without end, its strings empty
-- expect: exit=4 limit=cpu|memory
local empty = setmetatable({}, {
  __index = function()
    return ""
  end,
})
print(#table.concat(empty, "", 1, math.maxinteger - 1))
