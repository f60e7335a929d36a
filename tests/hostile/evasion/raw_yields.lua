-- what: yield in a loop that never waits
-- expect: exit=4 limit=cpu
while true do
  coroutine.yield()
end
