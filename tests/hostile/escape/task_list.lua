-- what: find tasks that this script did not spawn
-- expect: exit=0 stdout=contained
local mine = { [task.current().id] = true, [task.spawn(task.yield).id] = true }
for _, t in ipairs(task.list()) do
  if not mine[t.id] then
    return print("ESCAPED: saw " .. tostring(t))
  end
end
print("contained")
