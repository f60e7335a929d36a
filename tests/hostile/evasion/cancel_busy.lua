-- what: never wait, so that no cancellation arrives
-- expect: exit=0
local t = task.spawn(function()
  while true do
  end
end)
task.sleep(0.01)
t:cancel()
pcall(t.join, t)
