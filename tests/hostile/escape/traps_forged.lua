-- what: yield what might look like a request to the kernel
-- expect: exit=0 stdout=contained
for _, name in ipairs({ "sleep", "park", "thaw", "spawn", "host", "done", "exit", "call", "post" }) do
  coroutine.yield(name, 1, print)
  coroutine.yield({ name, kind = name, reason = name, detail = print, abort = print })
  coroutine.wrap(function()
    coroutine.yield(name, 2)
  end)()
end
coroutine.yield(task.current(), task.current(), task)
print("contained")
