-- what: catch inside __tostring
-- expect: exit=4 limit=cpu
local stubborn = setmetatable({}, {
  __tostring = function()
    while true do
      pcall(function()
        while true do
        end
      end)
    end
  end,
})
while true do
  pcall(print, stubborn)
end
