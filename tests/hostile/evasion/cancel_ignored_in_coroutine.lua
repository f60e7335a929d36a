-- what: catch cancellation with fresh coroutines
-- expect: exit=0 stdout=contained
local t = task.spawn(function()
  while true do
    coroutine.resume(coroutine.create(task.sleep), 1000)
    pcall(coroutine.wrap(task.sleep), 1000)
  end
end)
task.yield()
t:cancel()
pcall(t.join, t)
print(t:status() == "cancelled" and "contained" or "ESCAPED: " .. t:status())
