-- what: __pairs gives an endless iterator
-- expect: exit=4 limit=cpu
local t = setmetatable({}, {
  __pairs = function()
    return function()
      return 1, 1
    end
  end,
})
for _ in pairs(t) do
end
