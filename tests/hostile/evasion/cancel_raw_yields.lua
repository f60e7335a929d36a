-- what: only raw yields, which know nothing of cancellation
-- expect: exit=0 stdout=contained
local t = task.spawn(function()
  while true do
    pcall(coroutine.yield)
  end
end)
task.yield()
t:cancel()
pcall(t.join, t)
print(t:status() == "cancelled" and "contained" or "ESCAPED: " .. t:status())
