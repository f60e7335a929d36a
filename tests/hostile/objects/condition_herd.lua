-- what: notify five thousand waiters
-- expect: exit=0|4 stdout=contained limit=cpu
local c, n = sync.condition(), 0
task.scope(function()
  for _ = 1, 5000 do
    task.spawn(function()
      c.mutex:with(function()
        c:wait()
        n = n + 1
      end)
    end)
  end
  task.yield()
  c.mutex:with(c.notify_all, c)
end)
print(n == 5000 and "contained" or "ESCAPED " .. n)
