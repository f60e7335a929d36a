-- what: table.insert shifts a sequence that is long only by its __len
-- expect: exit=4 limit=cpu
local long = setmetatable({}, {
  __len = function()
    return math.maxinteger - 1
  end,
})
table.insert(long, 1, "x")
