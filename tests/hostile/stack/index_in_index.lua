-- what: __index that indexes
-- expect: exit=1 stderr=overflow
local t = setmetatable({}, {
  __index = function(self, key)
    return self[key .. "x"] .. "y"
  end,
})
print(t.x)
