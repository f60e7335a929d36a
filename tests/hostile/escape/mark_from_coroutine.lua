-- what: get the mark of cancellation out of a coroutine that waits in a cancelled task
-- expect: exit=0 stdout=contained
local got
local t = task.spawn(function()
  local co = coroutine.create(task.sleep)
  local _, err = coroutine.resume(co, 10)
  got = err or "resume returned"
  _, err = pcall(coroutine.wrap(task.sleep), 10)
  got = err or "pcall returned"
end)
task.yield()
t:cancel()
task.yield()
print(got and "ESCAPED: " .. tostring(got) or "contained")
