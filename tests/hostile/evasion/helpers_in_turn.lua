-- what: each task computes for five milliseconds, then spawns its successor and ends
-- expect: exit=4 limit=cpu
local function step()
  local until_then = os.clock() + 0.005
  while os.clock() < until_then do
  end
  task.spawn(step)
end
step()
