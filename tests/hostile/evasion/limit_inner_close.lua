-- what: loop in __close when an inner limit kills
-- expect: exit=0 stdout=contained
local result, err = task.limit({ cpu_s = 0.1 }, function()
  local _ <close> = setmetatable({}, {
    __close = function()
      while true do
      end
    end,
  })
  while true do
  end
end)
print(result == nil and err.kind == "limit" and "contained" or "ESCAPED: " .. tostring(result))
