-- what: grow in __close while an error passes
-- expect: exit=4 limit=memory
local t = {}
local function fail()
  local _ <close> = setmetatable({}, {
    __close = function()
      while true do
        t[#t + 1] = { {} }
      end
    end,
  })
  error("grow")
end
pcall(fail)
