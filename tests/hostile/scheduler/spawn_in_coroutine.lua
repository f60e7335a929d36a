-- what: spawn, wait and cancel from inside coroutines that end before their tasks
-- expect: exit=0 stdout=contained
local tasks = {}
for i = 1, 100 do
  coroutine.wrap(function()
    tasks[i] = task.spawn(task.sleep, 0.001 * i)
    task.yield()
  end)()
end
tasks[100]:cancel()
for i = 1, 99 do
  tasks[i]:join()
end
print("contained")
