-- what: every child copies the storage of its parent
-- expect: exit=4 limit=memory
local storage = task.local_storage()
for i = 1, 10000 do
  storage[i] = i
end
while true do
  task.spawn(task.sleep, 1000)
end
