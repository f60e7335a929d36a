-- what: catch the kill of an inner limit inside it
-- expect: exit=0 stdout=contained
local result, err = task.limit({ cpu_s = 0.1 }, function()
  while true do
    pcall(function()
      while true do
      end
    end)
  end
end)
print(result == nil and err.kind == "limit" and "contained" or "ESCAPED: " .. tostring(result))
