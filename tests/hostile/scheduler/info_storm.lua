-- what: ask a deep waiting task for its line for ever
-- expect: exit=4 limit=cpu
local function deep(n)
  if n == 0 then
    return task.sleep(1000)
  end
  return 1 + deep(n - 1)
end
local t = task.spawn(deep, 10000)
task.yield()
while true do
  t:info()
end
