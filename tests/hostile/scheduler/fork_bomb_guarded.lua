-- what: every task spawns two and protects itself
-- expect: exit=4 limit=memory|cpu
local function fork()
  while true do
    pcall(task.spawn, fork)
    pcall(task.yield)
  end
end
fork()
