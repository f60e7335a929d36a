-- what: many tasks one after the other stay below the limit
-- expect: exit=0 stdout=contained
-- options: --max-tasks 50
for _ = 1, 1000 do
  task.spawn(task.yield):join()
end
print("contained")
