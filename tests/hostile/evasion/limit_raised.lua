-- what: ask for a higher limit inside the lower one
-- expect: exit=4 limit=cpu
task.limit({ cpu_s = 1000, memory_bytes = 1 << 40, wall_s = 1000 }, function()
  while true do
  end
end)
