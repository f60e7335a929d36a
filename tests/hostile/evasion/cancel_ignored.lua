-- what: catch cancellation in a loop
-- expect: exit=0 stdout=contained
local t = task.spawn(function()
  while true do
    pcall(task.sleep, 1000)
    xpcall(task.sleep, function() end, 1000)
  end
end)
task.yield()
t:cancel()
pcall(t.join, t)
print(t:status() == "cancelled" and "contained" or "ESCAPED: " .. t:status())
