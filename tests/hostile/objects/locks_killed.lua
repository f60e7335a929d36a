-- what: killed while holding locks, in every way
-- expect: exit=4 limit=cpu
local m = sync.mutex("m")
for _ = 1, 100 do
  task.spawn(m.with, m, function()
    while true do
      pcall(task.yield)
    end
  end)
end
task.yield()
m:lock()
