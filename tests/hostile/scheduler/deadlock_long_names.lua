-- what: names of a megabyte in a deadlock report
-- expect: exit=3
local name = ("n"):rep(1000000)
for _ = 1, 10 do
  task.spawn_with({ name = name }, event.wait, name)
end
