-- what: waiters without end
-- expect: exit=4 limit=memory
while true do
  task.spawn(event.wait, "never")
  task.yield()
end
