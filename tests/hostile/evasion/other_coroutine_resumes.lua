-- what: two coroutines resume each other by turns through a third
-- expect: exit=4 limit=cpu
local function worker()
  while true do
    for _ = 1, 1000 do
    end
    pcall(coroutine.yield)
  end
end
local workers = { coroutine.create(worker), coroutine.create(worker) }
while true do
  for i = 1, 2 do
    pcall(coroutine.resume, workers[i])
    if coroutine.status(workers[i]) == "dead" then
      workers[i] = coroutine.create(worker)
    end
  end
end
