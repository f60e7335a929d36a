--- Runs a program of tasks that share locks; tests/scheduler/test_sync_properties.py judges the log.
--
-- `...` is a list of tasks, each a list of actions. The log is the result: one line per
-- entry, "task kind time fields...". A "want" is followed by its "got", its "lost" (a timeout), or
-- the end of what was cancelled: "cut" of a deadline around it, "exited" of the task.

local program = ...
local trace = {}

local function upvalue_of(fn, wanted)
  local index = 1
  local name, value = debug.getupvalue(fn, index)
  while name ~= wanted do
    assert(name, "no upvalue " .. wanted)
    index = index + 1
    name, value = debug.getupvalue(fn, index)
  end
  return value
end
local kernel = upvalue_of(task.local_storage, "kernel")

local numbers = {} -- task -> its number in the program

local function note(number, kind, ...)
  trace[#trace + 1] = table.concat({ number, kind, ("%.17g"):format(task.now()), ... }, " ")
end

local function log(...)
  note(numbers[task.current()] or 0, ...)
end

kernel.set_instrument(function(what, subject)
  if what == "exited" and numbers[subject] then
    note(numbers[subject], what, subject.state)
  end
end)

local objects = {
  m1 = sync.mutex("m1"),
  m2 = sync.mutex("m2"),
  s3 = sync.semaphore(3, "s3"),
  r1 = sync.rwlock("r1"),
  l1 = sync.rate_limiter({ per_second = 2, burst = 3, name = "l1" }),
  b2 = sync.barrier(2, "b2"),
}
objects.c1 = sync.condition(objects.m1, "c1")

local tasks = {}
local run_all

-- Waits with a timeout hold what they get for no time: nothing can be cancelled in between.
local actions = {}

function actions.sleep(_, seconds)
  task.sleep(seconds)
end

function actions.yield()
  task.yield()
end

function actions.mutex(depth, name, body)
  log("want", name, 1, "mutex")
  objects[name]:with(function()
    log("got", name)
    run_all(body, depth + 1)
    log("leave", name)
  end)
end

function actions.try_mutex(_, name, seconds)
  log("want", name, 1, "mutex")
  if objects[name]:lock(seconds) then
    log("got", name)
    log("leave", name)
    objects[name]:unlock()
  else
    log("lost", name)
  end
end

function actions.permits(depth, n, body)
  local s = objects.s3
  log("want", "s3", n, "permits")
  if n == 1 then
    s:with(function()
      log("got", "s3")
      run_all(body, depth + 1)
      log("leave", "s3")
    end)
  else
    s:acquire(n)
    log("got", "s3")
    log("leave", "s3")
    s:release(n)
  end
end

function actions.try_permits(_, n, seconds)
  log("want", "s3", n, "permits")
  if objects.s3:acquire(n, seconds) then
    log("got", "s3")
    log("leave", "s3")
    objects.s3:release(n)
  else
    log("lost", "s3")
  end
end

function actions.rw(depth, mode, body)
  log("want", "r1", 1, mode)
  objects.r1["with_" .. mode](objects.r1, function()
    log("got", "r1")
    run_all(body, depth + 1)
    log("leave", "r1")
  end)
end

function actions.try_rw(_, mode, seconds)
  log("want", "r1", 1, mode)
  if objects.r1[mode .. "_lock"](objects.r1, seconds) then
    log("got", "r1")
    log("leave", "r1")
    objects.r1[mode .. "_unlock"](objects.r1)
  else
    log("lost", "r1")
  end
end

function actions.tokens(_, n, seconds)
  log("want", "l1", n, "tokens")
  if objects.l1:acquire(n, seconds >= 0 and seconds or nil) then
    log("got", "l1")
  else
    log("lost", "l1")
  end
end

function actions.barrier(_, seconds)
  log("arrive")
  local place = objects.b2:wait(seconds)
  log("passed", place or "timeout")
end

function actions.condition(_, seconds)
  log("want", "m1", 1, "mutex")
  objects.m1:with(function()
    log("got", "m1")
    log("leave", "m1") -- `wait` gives it up
    log("waits", "c1")
    local woken = objects.c1:wait(seconds >= 0 and seconds or nil)
    log("again", "m1", woken and "notified" or "timeout")
    log("leave", "m1")
  end)
end

function actions.notify(_, n)
  log("want", "m1", 1, "mutex")
  objects.m1:with(function()
    log("got", "m1")
    log("notify", objects.c1:notify(n), n)
    log("leave", "m1")
  end)
end

function actions.select(_, first, second, seconds)
  local waits = { m1 = "lock", m2 = "lock", s3 = "acquire", l1 = "acquire" }
  local names = { first, second }
  for _, name in ipairs(names) do
    log("want", name, 1, "select")
  end
  local index = task.select({
    { objects[first], waits[first] },
    { objects[second], waits[second] },
    timeout = seconds,
  })
  for i, name in ipairs(names) do
    log(i == index and "got" or "lost", name)
  end
  if index and waits[names[index]] == "lock" then
    log("leave", names[index])
    objects[names[index]]:unlock()
  elseif names[index] == "s3" then
    log("leave", "s3")
    objects.s3:release()
  end
end

function actions.timeout(depth, seconds, body)
  local _, why = task.timeout(seconds, function()
    run_all(body, depth)
    return true
  end)
  if why == "timeout" then
    log("cut", depth)
  end
end

function actions.cancel(_, number)
  local victim = tasks[number]
  if victim and victim ~= task.current() then
    victim:cancel()
  end
end

-- `depth`: how many locks the task holds.
function run_all(body, depth)
  for i = 1, #body do
    local action = body[i]
    actions[action[1]](depth, action[2], action[3], action[4])
  end
end

-- Tasks may wait for each other for ever: this ends them.
task.timeout(1000, function()
  for number = 1, #program do
    tasks[number] = task.spawn(function()
      run_all(program[number], 0)
    end)
    numbers[tasks[number]] = number
  end
end)

for _, name in ipairs({ "m1", "m2", "s3", "r1", "l1", "b2", "c1" }) do
  local s = objects[name]:statistics()
  local held = s.locked or s.writer or (s.readers or 0) > 0 or (s.permits or 3) ~= 3
  log("left", name, s.waiting, held and "held" or "free", #objects[name].waiters)
end
for _, each in ipairs(tasks) do
  assert(each.state, "a task is alive")
end
return trace
