-- what: twenty thousand tasks wake at the same moment
-- expect: exit=0 stdout=contained
local moment = task.now() + 0.05
for _ = 1, 20000 do
  task.spawn(function()
    task.sleep(math.max(0, moment - task.now()))
  end)
end
print("contained")
