-- what: ten thousand tasks join one that fails
-- expect: exit=0 stdout=contained
local victim = task.spawn(function()
  task.sleep(0.2)
  error("to all of you", 0)
end)
for _ = 1, 10000 do
  task.spawn(pcall, victim.join, victim)
end
print("contained")
