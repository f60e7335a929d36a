--- Busy code of every kind, preempted in the middle, some of it cancelled, collected in between.
-- Driven by tests/stress/preemption.py: `...` is the seed and the number of tasks; returns how many tasks
-- ended by themselves, by cancellation and by a timeout. Every kind checks its own result.
-- luacheck: read globals host_back host_many

local seed, count = ...

local generator = seed
local function random(n)
  generator = generator * 16807 % 2147483647
  return generator % n + 1
end

local pack, unpack, collect = table.pack, table.unpack, collectgarbage

-- A loop that is not interrupted by anything but a hook; its result is known.
local function spin(n)
  local sum = 0
  for i = 1, n do
    sum = sum + i % 7
  end
  return sum
end

local function expected(n)
  local rest = n % 7
  return (n - rest) / 7 * 21 + rest * (rest + 1) / 2
end

local LONG, SHORT = 60000, 300

local kinds = {}

function kinds.loop()
  assert(spin(LONG) == expected(LONG))
end

function kinds.nested_coroutines()
  local depth = random(12)
  local function down(n)
    if n == 0 then
      return spin(LONG)
    end
    return coroutine.wrap(down)(n - 1)
  end
  assert(down(depth) == expected(LONG))
end

-- Its own yields are the only ones it sees.
function kinds.generator()
  local function produce(n)
    for i = 1, n do
      assert(select("#", coroutine.yield(i, spin(SHORT))) == 1)
    end
    return "end"
  end
  local co = coroutine.create(produce)
  local argument = 40
  for i = 1, 40 do
    local seen = pack(coroutine.resume(co, argument))
    argument = i
    assert(seen.n == 3 and seen[1] and seen[2] == i and seen[3] == expected(SHORT))
    assert(coroutine.status(co) == "suspended")
  end
  assert(select(2, coroutine.resume(co, 1)) == "end")
end

function kinds.sort()
  local list = {}
  for i = 1, 60 do
    list[i] = random(1000)
  end
  table.sort(list, function(a, b)
    spin(SHORT)
    return a < b
  end)
  for i = 2, 60 do
    assert(list[i - 1] <= list[i])
  end
end

function kinds.gsub()
  local text = ("abc"):rep(20):gsub("%w", function(letter)
    spin(SHORT)
    return letter:upper()
  end)
  assert(text == ("ABC"):rep(20))
end

function kinds.metamethods()
  local meta = {}
  local function busy(result)
    return function()
      spin(SHORT)
      return result
    end
  end
  meta.__index, meta.__len, meta.__call, meta.__concat = busy(1), busy(2), busy(3), busy("4")
  meta.__eq, meta.__lt, meta.__le, meta.__unm = busy(true), busy(true), busy(true), busy(5)
  meta.__tostring, meta.__name = busy("six"), "six"
  local a, b = setmetatable({}, meta), setmetatable({}, meta)
  for _ = 1, 15 do
    assert(a.x == 1 and #a == 2 and a() == 3 and a .. b == "4" and -a == 5)
    assert(a == b and a < b and a <= b and tostring(a) == "six")
    assert(("%s"):format(a) == "six")
  end
end

function kinds.error_handlers()
  local handled = pack(xpcall(function()
    spin(SHORT)
    error("inner", 0)
  end, function(message)
    assert(spin(LONG) == expected(LONG))
    return message .. "+"
  end))
  assert(handled.n == 2 and handled[1] == false and handled[2] == "inner+")
end

-- Returning out of a deep recursion while the hook is armed crashed a walk along the list of calls.
function kinds.deep_recursion()
  local function deep(n)
    if n == 0 then
      return 0
    end
    return 1 + deep(n - 1)
  end
  for _ = 1, 5 do
    assert(deep(3000) == 3000)
    collect("step")
  end
end

function kinds.stack_overflow()
  local function endless()
    return 1 + endless()
  end
  local ok, message = pcall(endless)
  assert(not ok and message:find("stack overflow", 1, true))
  collect()
end

-- The stack is reallocated, up and down, under the running function.
function kinds.moving_stack()
  local list = {}
  for i = 1, 2000 do
    list[i] = i
  end
  local function wide(n)
    if n == 0 then
      return select("#", unpack(list))
    end
    local got = select("#", unpack(list, 1, n * 150))
    return wide(n - 1) + got - n * 150
  end
  for _ = 1, 8 do
    assert(wide(12) == 2000)
    collect("step", 100)
  end
end

function kinds.coroutine_churn()
  local total = 0
  for i = 1, 400 do
    local co = coroutine.create(function(n)
      return n + coroutine.yield(n)
    end)
    local _, first = coroutine.resume(co, i)
    if i % 3 > 0 then
      local _, second = coroutine.resume(co, 1)
      total = total + second - first
    else
      coroutine.close(co)
      total = total + 1
    end
  end
  assert(total == 400)
end

function kinds.closing()
  local closed = 0
  for _ = 1, 10 do
    local guard <close> = setmetatable({}, {
      __close = function()
        closed = closed + (spin(SHORT * 10) > 0 and 1 or 0)
      end,
    })
    assert(guard)
  end
  assert(closed == 10)
end

function kinds.finalizers()
  -- Few and short: while one runs nobody is set aside, and this task does hardly anything else.
  for _ = 1, 5 do
    setmetatable({}, {
      __gc = function()
        spin(SHORT)
      end,
    })
  end
  collect()
  spin(SHORT * 5)
end

function kinds.loading()
  local pieces = 0
  local fn, message = load(function()
    pieces = pieces + 1
    spin(SHORT)
    return pieces == 1 and "return 0" or pieces <= 60 and " + 1" or nil
  end)
  assert(fn, message)
  assert(fn() == 59)
end

function kinds.own_hook()
  local hits = 0
  debug.sethook(function()
    hits = hits + 1
  end, "", 1000)
  local hook, mask, each = debug.gethook()
  spin(LONG)
  local after, same, still = debug.gethook()
  debug.sethook()
  assert(hook == after and mask == same and each == 1000 and still == 1000)
  assert(hits >= LONG // 10000) -- each preemption starts its count anew
end

function kinds.strings_and_tables()
  local parts = {}
  for i = 1, 2000 do
    parts[i] = ("%d:%s"):format(i, ("x"):rep(i % 13))
  end
  local text = table.concat(parts, ",")
  local found = 0
  for number in text:gmatch("(%d+):x*") do
    found = found + 1
    assert(tonumber(number) == found)
  end
  assert(found == 2000)
end

-- A busy comparator that waits as well: the portal and the hook in one stack.
function kinds.busy_and_waiting()
  local list = { 5, 3, 8, 1, 9, 2 }
  table.sort(list, function(a, b)
    spin(SHORT * 4)
    if random(3) == 1 then
      task.yield()
    elseif random(4) == 1 then
      sleep(0.001)
    end
    return a < b
  end)
  assert(table.concat(list) == "123589")
end

function kinds.host_calls()
  local values = {}
  for i = 1, 300 do
    values[i] = i
  end
  assert(select("#", host_many(unpack(values))) == 300)
  assert(host_back(function()
    return spin(LONG)
  end) == expected(LONG))
  task.yield() -- a synchronous host function is no checkpoint
end

function kinds.children()
  local sums = {}
  task.scope(function(s)
    for i = 1, 3 do
      s:spawn(function()
        sums[i] = spin(LONG)
      end)
    end
  end)
  assert(sums[1] == expected(LONG) and sums[2] == sums[1] and sums[3] == sums[1])
end

function kinds.limited()
  local value, err = task.limit({ cpu_s = 0.004 }, function()
    while true do
      pcall(spin, LONG)
    end
  end)
  assert(value == nil and err.kind == "limit" and err.limit == "cpu")
end

local names = {}
for name in pairs(kinds) do
  names[#names + 1] = name
end
table.sort(names)

-- Per task, for between reading a counter and writing it another task may run.
local ends, running = {}, {}

local function for_ever(kind)
  while true do
    kind()
  end
end

local function job(id)
  local kind = kinds[names[random(#names)]]
  local way = random(4)
  local done <close> = setmetatable({}, {
    __close = function()
      running[id] = nil
    end,
  })
  assert(done)
  if way == 1 then
    local _, why = task.timeout(random(20) / 1000, for_ever, kind)
    assert(why == "timeout")
    ends[id] = "timed out"
    return
  elseif way == 2 then
    task.current().doomed_by_us = true
    for_ever(kind)
  end
  for _ = 1, random(3) do
    kind()
  end
  ends[id] = "finished"
end

local tasks = {}
for i = 1, count do
  local each = task.spawn_with({ name = "busy " .. i }, job, i)
  tasks[i], running[i] = each, each
end

-- Cancels at random, and all that run for ever, until nobody is left.
while next(running) do
  sleep(random(8) / 1000)
  for id, each in pairs(running) do
    if each:status() == "cancelled" then
      running[id] = nil -- before its first step, perhaps
    elseif each.doomed_by_us or random(60) == 1 then
      each:cancel("at random")
      if random(2) == 1 then
        break
      end
    end
    assert(tasks[id] == each)
  end
  if random(5) == 1 then
    collect()
  end
end
local count_of = { finished = 0, cancelled = 0, ["timed out"] = 0 }
for i = 1, count do
  local each = tasks[i]
  local ok, err = pcall(each.join, each)
  local how = each:status() == "cancelled" and "cancelled" or ends[i]
  assert(how == "cancelled" or ok, err)
  count_of[how] = count_of[how] + 1
end
return count_of.finished, count_of.cancelled, count_of["timed out"]
