-- what: catch the end of the time in a loop of short sleeps
-- expect: exit=124
-- options: --timeout 0.5
while true do
  pcall(task.sleep, 0.05)
end
