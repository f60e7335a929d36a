-- what: resume, close and wrap the coroutine of a waiting task from another one
-- expect: exit=0 stdout=contained
local co
local t = task.spawn(function()
  co = coroutine.running()
  task.sleep(0.02)
  return "undisturbed"
end)
task.sleep(0.01)
local resumed = coroutine.resume(co, "forged")
local closed = pcall(coroutine.close, co)
local right = not resumed and not closed and t:join() == "undisturbed"
print(right and "contained" or "ESCAPED: the coroutine of a task")
