-- race, all, and map with a limit.
-- Run: python -m scheduler --virtual-clock examples/05_combinators.lua

local function fetch(name, seconds)
  return function()
    task.sleep(seconds)
    return name
  end
end

local function clock()
  return ("%.1f s"):format(task.now())
end

-- The first to end wins; the others are cancelled and waited for.
print(task.race({ fetch("mirror A", 3), fetch("mirror B", 1), fetch("mirror C", 2) }), clock())

-- All of them, in the order given; the time of the slowest.
local all = task.all({ fetch("x", 2), fetch("y", 1), fetch("z", 3) })
print(table.concat(all, " "), clock())

-- Six jobs of one second, two at a time: three seconds.
local busy, most = 0, 0
local squares = task.map({ 1, 2, 3, 4, 5, 6 }, function(n)
  busy = busy + 1
  most = math.max(most, busy)
  task.sleep(1)
  busy = busy - 1
  return n * n
end, { limit = 2 })
print(table.concat(squares, " "), clock(), "at most " .. most .. " at once")

-- Tasks that run already may race, too.
local slow = task.spawn(fetch("slow", 100))
print(task.race({ slow, fetch("quick", 1) }), slow:status(), clock())
