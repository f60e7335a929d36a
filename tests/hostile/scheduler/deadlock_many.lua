-- what: ten thousand tasks in one deadlock report
-- expect: exit=3
for i = 1, 10000 do
  task.spawn_with({ name = "waiter " .. i }, event.wait, "never")
end
