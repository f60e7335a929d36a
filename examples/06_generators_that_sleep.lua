-- A script's own coroutines keep Lua's meaning. A generator may sleep between its yields: the yield goes
-- to whoever resumed it, the sleep parks the whole task.
-- Run: python -m scheduler --virtual-clock examples/06_generators_that_sleep.lua

local function ticks(n, seconds)
  return coroutine.wrap(function()
    for i = 1, n do
      task.sleep(seconds)
      coroutine.yield(i, task.now())
    end
  end)
end

-- Coroutines inside coroutines: each stage pulls from the one before.
local function map(source, fn)
  return coroutine.wrap(function()
    for value, at in source do
      coroutine.yield(fn(value), at)
    end
  end)
end

task.spawn(function()
  for square, at in
    map(ticks(3, 1.0), function(i)
      return i * i
    end)
  do
    print(("%.1f s  square %d"):format(at, square))
  end
end)

task.spawn(function()
  for i, at in ticks(3, 0.8) do
    print(("%.1f s  tick %d"):format(at, i))
  end
end)

-- Both run at the same time. Meanwhile the main chunk uses a plain generator by hand.
local co = coroutine.create(function(a)
  local b = coroutine.yield(a + 1)
  task.sleep(10)
  return a + b
end)
print(coroutine.resume(co, 1))
print(coroutine.resume(co, 10))
print(coroutine.status(co), coroutine.resume(co))
