-- what: a guard spawns the worker again whenever it has ended
-- expect: exit=4 limit=cpu
local function worker()
  while true do
  end
end
local function guard()
  while true do
    pcall(task.scope, function(scope)
      scope:spawn(worker)
    end)
  end
end
task.spawn(guard)
task.spawn(guard)
task.sleep(1000)
