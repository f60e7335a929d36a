-- what: spawn the library's and the base functions themselves as tasks
-- expect: exit=0 stdout=contained
local functions =
  { task.yield, task.spawn, task.current, coroutine.yield, coroutine.running, pcall }
for _, fn in ipairs(functions) do
  for _, caller in ipairs({ task.spawn, coroutine.wrap(task.spawn), task.scope }) do
    pcall(caller, fn, task.yield)
  end
end
local ok, result = pcall(coroutine.wrap(task.current))
print(ok and result == task.current() and "contained" or "ESCAPED: another task")
