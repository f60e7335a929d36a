-- what: sleep for no time, for ever
-- expect: exit=4 limit=cpu
while true do
  pcall(task.sleep, 0)
end
