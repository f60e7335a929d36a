-- what: a hundred tasks share the work
-- expect: exit=4 limit=cpu
for _ = 1, 100 do
  task.spawn_with({ priority = "low" }, function()
    while true do
      pcall(task.yield)
    end
  end)
end
