-- what: ten thousand readers and ten thousand writers in a deadlock report
-- expect: exit=3
local lock, never = sync.rwlock(("n"):rep(1000000)), channel.new(0, ("c\n"):rep(1000))
for _ = 1, 10000 do
  task.spawn(lock.with_read, lock, never.receive, never)
end
task.yield()
for _ = 1, 10000 do
  task.spawn(lock.with_write, lock, print)
end
