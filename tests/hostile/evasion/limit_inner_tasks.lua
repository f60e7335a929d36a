-- what: spawn more tasks than an inner limit allows, in protected calls
-- expect: exit=0 stdout=contained
local result, err = task.limit({ tasks = 10 }, function()
  while true do
    pcall(task.spawn, task.sleep, 1000)
    pcall(task.yield)
  end
end)
print(result == nil and err.kind == "limit" and "contained" or "ESCAPED: " .. tostring(result))
