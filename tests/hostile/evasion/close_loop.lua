-- what: go on in __close when the kill unwinds
-- expect: exit=4 limit=cpu
local _ <close> = setmetatable({}, {
  __close = function()
    while true do
    end
  end,
})
while true do
end
