-- what: catch the kill of an inner limit with coroutines that were made outside
-- expect: exit=0 stdout=contained
local co = coroutine.wrap(function()
  while true do
    pcall(function()
      while true do
      end
    end)
  end
end)
local result, err = task.limit({ cpu_s = 0.1 }, co)
print(result == nil and err.kind == "limit" and "contained" or "ESCAPED: " .. tostring(result))
