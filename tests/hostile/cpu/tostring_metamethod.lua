-- what: an endless loop in __tostring
-- expect: exit=4 limit=cpu
print(setmetatable({}, {
  __tostring = function()
    while true do
    end
  end,
}))
