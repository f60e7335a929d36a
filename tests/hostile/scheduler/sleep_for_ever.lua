-- what: sleep for the longest times there are
-- expect: exit=0 stdout=contained
for _, seconds in ipairs({ math.huge, 1.7e308, 1e19, 2 ^ 63 }) do
  task.spawn_with({ background = true }, task.sleep, seconds)
  task.spawn_with({ background = true }, event.wait, "never", seconds)
  task.timeout(seconds, task.yield)
end
task.sleep(0.01)
print("contained")
