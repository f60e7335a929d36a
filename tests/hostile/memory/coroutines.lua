-- what: keep suspended coroutines
-- expect: exit=4 limit=memory
local kept = {}
while kept do
  local co = coroutine.create(coroutine.yield)
  coroutine.resume(co)
  kept[#kept + 1] = co
end
