-- what: hand a mutex round for ever
-- expect: exit=4 limit=cpu
local m = sync.mutex()
for _ = 1, 1000 do
  task.spawn(function()
    while true do
      m:lock()
      m:unlock()
      task.yield()
    end
  end)
end
