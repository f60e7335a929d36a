-- what: every task spawns two
-- expect: exit=4 limit=memory|cpu
local function fork()
  task.spawn(fork)
  task.spawn(fork)
  task.sleep(0)
end
fork()
