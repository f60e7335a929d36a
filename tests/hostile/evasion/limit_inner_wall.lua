-- what: outlast a limit of real time in a shielded sleep
-- expect: exit=0 stdout=contained
local result, err = task.limit({ wall_s = 0.1 }, function()
  while true do
    pcall(task.shield, task.sleep, 1000)
  end
end)
print(result == nil and err.kind == "limit" and "contained" or "ESCAPED: " .. tostring(result))
