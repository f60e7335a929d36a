-- what: executors in executors, each of which is busy
-- expect: exit=4 limit=cpu
local function executor()
  promise.new(executor)
  while true do
  end
end
promise.new(executor)
