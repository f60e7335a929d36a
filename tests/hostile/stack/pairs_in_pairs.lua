-- what: __pairs that calls pairs
-- expect: exit=1 stderr=overflow
pairs(setmetatable({}, {
  __pairs = function(self)
    local a, b, c = pairs(self)
    return a, b, c
  end,
}))
