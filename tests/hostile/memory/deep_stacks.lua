-- what: keep coroutines that are suspended deep in a recursion
-- expect: exit=4 limit=memory
local kept = {}
local function deep(n)
  if n == 0 then
    coroutine.yield()
  end
  return 1 + deep(n - 1)
end
while kept do
  local co = coroutine.create(deep)
  coroutine.resume(co, 10000)
  kept[#kept + 1] = co
end
