-- what: resume and yield for ever
-- expect: exit=4 limit=cpu
local co = coroutine.wrap(function()
  while true do
    coroutine.yield()
  end
end)
while true do
  co()
end
