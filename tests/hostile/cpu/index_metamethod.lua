-- what: an endless loop in __index
-- expect: exit=4 limit=cpu
local t = setmetatable({}, {
  __index = function()
    while true do
    end
  end,
})
print(t.x)
