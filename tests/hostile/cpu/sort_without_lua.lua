-- what: sort a huge made-up sequence whose every access is a C function
-- expect: exit=4 limit=cpu
local endless = setmetatable({}, {
  __len = function()
    return 1 << 30
  end,
  __index = rawlen,
  __newindex = rawequal,
})
table.sort(endless)
