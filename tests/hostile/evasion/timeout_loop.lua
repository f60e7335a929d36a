-- what: compute in a timeout that has long passed
-- expect: exit=4 limit=cpu
task.timeout(0.01, function()
  while true do
    pcall(task.yield)
  end
end)
while true do
end
