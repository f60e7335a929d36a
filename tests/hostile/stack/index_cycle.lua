-- what: an __index that is the table itself
-- expect: exit=1 stderr='__index' chain too long
local t = {}
setmetatable(
  t,
  { __index = setmetatable({}, {
    __index = function()
      return t.missing
    end,
  }) }
)
local a, b = {}, {}
setmetatable(a, { __index = b })
setmetatable(b, { __index = a })
print(a.missing)
