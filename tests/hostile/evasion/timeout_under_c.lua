-- what: outlast the time in a comparator that waits
-- expect: exit=124
-- options: --timeout 0.5
while true do
  pcall(table.sort, { 3, 2, 1 }, function()
    pcall(task.sleep, 1000)
    return true
  end)
end
