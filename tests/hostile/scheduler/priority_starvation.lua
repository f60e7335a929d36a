-- what: high tasks that always are ready must not starve a low one
-- expect: exit=0 stdout=contained
for _ = 1, 20 do
  task.spawn_with({ background = true }, function()
    while true do
      task.yield()
    end
  end)
end
local low = task.spawn_with({ priority = "low" }, function()
  for _ = 1, 20 do
    task.yield()
  end
  return "contained"
end)
print(low:join())
