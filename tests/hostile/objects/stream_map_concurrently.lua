-- what: a stage with as many tasks as there are values
-- expect: exit=4 limit=cpu|memory|tasks
-- options: --max-tasks 10000
local stream = require("stream")
stream.of(os.time):map(task.sleep, { concurrency = 1e15 }):collect()
