-- what: a busy high task must not starve the others
-- expect: exit=0 stdout=contained
task.spawn_with({ background = true }, function()
  while true do
    for _ = 1, 1000 do
    end
  end
end)
for _ = 1, 10 do
  task.sleep(0.001)
end
print("contained")
