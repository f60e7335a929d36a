-- what: make, run and forget coroutines
-- expect: exit=4 limit=cpu|memory
while true do
  coroutine.wrap(function() end)()
end
