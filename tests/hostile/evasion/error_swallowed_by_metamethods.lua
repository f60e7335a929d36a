-- what: pcall as a metamethod of the loop's own values
-- expect: exit=4 limit=cpu
local t = setmetatable({
  run = function()
    while true do
    end
  end,
}, {
  __index = pcall,
  __call = function(self)
    return pcall(self.run)
  end,
})
while true do
  t()
end
