-- what: a timer without a pause
-- expect: exit=4 limit=cpu
local timer = require("timer")
for _ = 1, 100 do
  timer.every(1e-9, type)
end
task.sleep(1000)
