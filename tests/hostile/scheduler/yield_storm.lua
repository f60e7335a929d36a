-- what: a thousand tasks yield for ever
-- expect: exit=4 limit=cpu
for _ = 1, 1000 do
  task.spawn(function()
    while true do
      task.yield()
    end
  end)
end
