-- what: wait until the kernel forgets a handle, then revive it through a weak table
-- expect: exit=0 stdout=contained
local weak = setmetatable({}, { __mode = "kv" })
for i = 1, 100 do
  weak[i] = task.spawn(task.sleep, 0.001)
  weak[task.current()] = weak[i]
end
task.sleep(0.01)
for _ = 1, 100 do
  collectgarbage("step")
end
for _, t in pairs(weak) do
  if type(t) ~= "table" and type(t) ~= "userdata" or not t.id then
    return print("ESCAPED: a foreign value")
  end
end
print(task.current() == task.current() and "contained")
