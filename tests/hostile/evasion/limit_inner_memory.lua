-- what: keep growing although an inner memory limit is reached
-- expect: exit=0 stdout=contained
local result, err = task.limit({ memory_bytes = 20000000 }, function()
  local t = {}
  while true do
    pcall(function()
      while true do
        t[#t + 1] = { {} }
      end
    end)
  end
end)
print(result == nil and err.kind == "limit" and "contained" or "ESCAPED: " .. tostring(result))
