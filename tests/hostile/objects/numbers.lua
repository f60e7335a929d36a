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
for _, n in ipairs(numbers) do
  task.timeout(0.01, function()
    for _, fn in ipairs({
      function()
        local ch = channel.new(n)
        ch:try_send(1)
        ch:close()
      end,
      function()
        local s = sync.semaphore(n)
        s:try_acquire(n)
        s:release(n)
        s:release(n)
      end,
      function()
        sync.barrier(n)
      end,
      function()
        local w = sync.waitgroup()
        w:add(n)
        w:add(n)
      end,
      function()
        local l = sync.rate_limiter({ per_second = n, burst = n })
        l:try_acquire(n)
        l:statistics()
      end,
      function()
        timer.after(n, print):cancel()
        timer.every(n, print):cancel()
      end,
      function()
        local l = sync.rate_limiter({ per_second = n })
        l:acquire(1)
        l:acquire(1, 0.001)
      end,
      function()
        task.select({ { channel.new(), "receive" }, timeout = n < 1 and n or 0 })
      end,
      function()
        stream.of({ 1, 2, n = n }):take(3):collect()
      end,
      function()
        require("broadcast").new(n):send(1)
      end,
    }) do
      pcall(fn)
    end
  end)
end
print("contained")
