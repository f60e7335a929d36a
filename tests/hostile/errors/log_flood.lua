-- what: limits that only warn, reached again and again, to flood the host's log
-- expect: exit=4 limit=tasks|cpu
while true do
  pcall(task.limit, { tasks = 0, policy = "warn" }, task.spawn, task.yield)
end
