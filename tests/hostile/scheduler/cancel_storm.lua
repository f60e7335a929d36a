-- what: spawn and cancel for ever
-- expect: exit=4 limit=cpu
while true do
  local t = task.spawn(task.sleep, 1000)
  task.yield()
  t:cancel("storm")
  task.yield()
end
