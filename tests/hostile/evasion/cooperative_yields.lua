-- what: never be overdue: yield after every step
-- expect: exit=4 limit=cpu
while true do
  task.yield()
end
