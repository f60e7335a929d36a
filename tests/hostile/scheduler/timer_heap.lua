-- what: leave cancelled timers in the heap
-- expect: exit=4 limit=cpu|memory
local function nothing() end
while true do
  task.timeout(1e9, nothing)
end
