-- what: tasks without end that each wait under a C function and hold a C stack
-- expect: exit=4 limit=memory|cpu
local function wait_in_comparator()
  table.sort({ 2, 1 }, function()
    task.sleep(1000)
    return true
  end)
end
while true do
  task.spawn(wait_in_comparator)
  task.yield()
end
