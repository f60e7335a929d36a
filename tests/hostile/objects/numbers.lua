-- what: numbers at the edge for everything that takes one
-- expect: exit=0 stdout=contained
local numbers = {
  0 / 0,
  math.huge,
  -math.huge,
  -1,
  0,
  0.5,
  1e-320,
  1e308,
  math.maxinteger,
  math.mininteger,
  2 ^ 53,
}
local timer, stream = require("timer"), require("stream")
local function attempts(n)
  pcall(sync.barrier, n)
  pcall(function()
    channel.new(n):try_send(1)
  end)
  pcall(function()
    local s = sync.semaphore(n)
    s:try_acquire(n)
    s:release(n)
    s:release(n)
  end)
  pcall(function()
    local w = sync.waitgroup()
    w:add(n)
    w:add(n)
  end)
  pcall(function()
    local l = sync.rate_limiter({ per_second = n, burst = n })
    l:try_acquire(n)
    l:statistics()
  end)
  pcall(function()
    timer.after(n, print):cancel()
  end)
  pcall(function()
    timer.every(n, print):cancel()
  end)
  pcall(function()
    local l = sync.rate_limiter({ per_second = n })
    l:acquire(1)
    l:acquire(1, 0.001)
  end)
  pcall(task.select, { { channel.new(), "receive" }, timeout = n < 1 and n or 0 })
  pcall(function()
    stream.of({ 1, 2, n = n }):take(3):collect()
  end)
  pcall(function()
    require("broadcast").new(n):send(1)
  end)
end
for _, n in ipairs(numbers) do
  task.timeout(0.01, attempts, n)
end
print("contained")
