-- what: free the memory when the kill unwinds, and go on
-- expect: exit=4 limit=cpu|memory
while true do
  pcall(function()
    local t = {}
    local _ <close> = setmetatable({}, {
      __close = function()
        t = nil
      end,
    })
    while t do
      t[#t + 1] = { {} }
    end
  end)
end
