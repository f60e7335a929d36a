-- what: a hundred tasks wait under C functions for ever
-- expect: exit=4 limit=cpu
for _ = 1, 100 do
  task.spawn(function()
    while true do
      local _ = ("xx"):gsub("x", function()
        task.yield()
      end)
    end
  end)
end
