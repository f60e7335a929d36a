-- what: keep tasks that have failed with large tracebacks
-- expect: exit=4 limit=memory|cpu
local function deep(n)
  if n == 0 then
    error(("x"):rep(100000))
  end
  return 1 + deep(n - 1)
end
local kept = {}
while kept do
  local t = task.spawn(deep, 50)
  pcall(t.join, t)
  kept[#kept + 1] = t
end
