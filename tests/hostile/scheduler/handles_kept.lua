-- what: keep every task that has ended
-- expect: exit=4 limit=memory|cpu
local kept = {}
while kept do
  local t = task.spawn(task.yield)
  t:join()
  kept[#kept + 1] = t
end
