--- Limits: budgets that scopes have, and what happens when one is used up.
--
-- Belongs here: counting and deciding. How a task is ended for certain: Scope:kill and preemption.lua. What
-- C functions must ask before they do much at once: `M.allowance`.
--
-- A scope's budget counts everything below it; budgets lie inside one another. Processor time and memory are
-- looked at after each step of a task and at each preemption. Memory is an estimate: by how much Lua's heap
-- grew during the steps of the tasks; when it is too much, garbage is collected first.

local kernel = require("kernel")
local scope = require("scope")
local failure = require("failure")
local timers = require("timers")
local task_library = require("task")
local usage = require("usage")

local type, error, pairs, tostring, setmetatable = type, error, pairs, tostring, setmetatable
local select = select
local collectgarbage, format = collectgarbage, string.format
local infinity, max = math.huge, math.max
local pack, unpack = kernel.pack, kernel.unpack
local now, current, book, post = kernel.now, kernel.current, kernel.book, kernel.post
local bad_argument, check_callable = failure.bad_argument, failure.check_callable

local M = {}

-- Name -> what a message calls it, and how it writes an amount.
local function seconds(amount)
  return format("%.3g s", amount)
end

local function bytes(amount)
  if amount < 1e6 then
    return format("%.0f bytes", amount)
  end
  return format("%.1f MB", amount / 1e6)
end

local function count(amount)
  return format("%.0f", amount)
end

local function percent(amount)
  return format("%.0f %% of a processor", amount)
end

local KINDS = {
  cpu_percent = { name = "cpu", text = percent },
  cpu_s = { name = "cpu", text = seconds },
  memory_bytes = { name = "memory", text = bytes },
  wall_s = { name = "wall", text = seconds },
  tasks = { name = "tasks", text = count },
  output_bytes = { name = "output", text = bytes },
  host_calls = { name = "host_calls", text = count },
}
local POLICIES = { kill = true, throttle = true, warn = true }

-- A throttled task rests this many times as long as it has run: it gets a fifth of the processor.
local REST = 4

-- Limits inside limits, at most: all around a task are looked at after each of its steps.
local MAX_DEPTH = 200

-- Seconds over which a share of the processor is averaged, at least.
local SHARE_S = 1

local Budget = {}
Budget.__index = Budget

local measured = 0 -- size of Lua's heap when it was last looked at
local watching = false -- whether there was ever a limit
local metering = false -- whether the kernel tells of each step

-- ---------------------------------------------------------------------------------------------
-- When one is used up

-- Our error tables, for nobody else may make one: name of the limit, used and allowed, packed, of each.
local ours = setmetatable({}, { __mode = "k" })

--- The amounts behind an error value, or nil when it is none of ours.
---@return table|nil packed name of the limit, used, allowed
function M.amounts(value)
  if type(value) == "table" and ours[value] then
    return ours[value]
  end
end

-- By the policy "warn": the amount at which the next line is due, when twice as much is used.
local function doubled(allowed, used)
  local amount = allowed > 0 and allowed or used
  if amount <= 0 or used == infinity then
    return infinity
  end
  while amount <= used do
    amount = amount * 2
  end
  return amount
end

-- Scripts can make limits, and the log is the program's: so many lines in a second.
local MAX_LINES = 20
local lines, lines_since = 0, -infinity

local function warn(text)
  local time = now()
  if time - lines_since >= 1 then
    lines, lines_since = 0, time
  end
  lines = lines + 1
  if lines < MAX_LINES then
    post("warn", text)
  elseif lines == MAX_LINES then
    post("warn", text .. "; what else reaches a limit within this second is not told")
  end
end

local function exceed(budget, limit, used)
  local allowed = budget.limits[limit]
  local kind = KINDS[limit]
  local text =
    format("limit reached: %s: used %s, allowed %s", kind.name, kind.text(used), kind.text(allowed))
  local task = current() or budget.scope.owner
  if task then
    text = text .. " (" .. task_library.label(task) .. ")"
  end
  if budget.policy ~= "kill" then
    budget.throttled = budget.policy == "throttle"
    budget.limits[limit] = budget.throttled and infinity or doubled(allowed, used)
    budget.rest = limit == "cpu_percent" and 100 / max(allowed, 1) - 1 or REST
    warn(text .. (budget.throttled and "; its tasks are slowed down" or ""))
    return
  end
  local target = budget.scope
  if target.exceeded or target.closed then
    return
  end
  local err = failure.new("limit", text)
  err.limit, err.used, err.allowed = kind.name, used, allowed
  ours[err] = pack(kind.name, used, allowed)
  target.exceeded = err
  target:kill("a limit was reached")
  if budget.on_exceeded then
    budget.on_exceeded(err)
  end
end

-- What the running task did was too much: it ends here, if it is to end.
local function stop_here(task)
  if task and scope.is_killed(task) then
    scope.check(task)
  end
end

--- Its wall-clock time is over (timers.lua).
function Budget:on_deadline()
  exceed(self, "wall_s", self.limits.wall_s)
  if self.policy == "warn" then
    M.begin(self)
  end
end

-- ---------------------------------------------------------------------------------------------
-- Counting

local function heap()
  local size = collectgarbage("count")
  return size and size * 1024 or measured -- none while a finalizer runs
end

local function grow(budget, grown)
  while budget do
    local memory = budget.memory + grown
    budget.memory = memory > 0 and memory or 0
    budget = budget.outer
  end
end

local function budget_of(task)
  return (task.inner or task.home).budget
end

-- Lua's heap since the last look, booked on `task` (nil: on nobody), its budget and those around it.
local function measure(task)
  local size = heap()
  local grown = size - measured
  measured = size
  if task then
    grow(budget_of(task), grown)
    if usage.counting then
      usage.count_memory(task, grown)
    end
  end
end

-- More than allowed, with `coming` bytes about to be made by `task`: is it garbage?
local function check_memory(task, coming)
  if scope.killing() then
    return -- what is being killed holds memory still: the others are judged when it has gone
  end
  local each = budget_of(task)
  while each do
    local allowed = each.limits.memory_bytes
    if each.memory + coming > allowed then
      collectgarbage()
      measure(task)
      if each.memory + coming > allowed then
        exceed(each, "memory_bytes", each.memory + coming)
        if each.scope.exceeded then
          return
        end
      end
    end
    each = each.outer
  end
end

-- Does it use more than its share of the processor? Looked at once enough time has passed since the last
-- look.
local function check_share(budget, spent)
  local time = now()
  local share = budget.share_cpu + spent
  local elapsed = time - budget.share_began
  if elapsed >= SHARE_S then
    budget.share_cpu, budget.share_began = 0, time
    local used = 100 * share / elapsed
    if used > budget.limits.cpu_percent then
      exceed(budget, "cpu_percent", used)
    end
  else
    budget.share_cpu = share
  end
end

-- What the kernel calls after each step, with the processor time of it.
local function meter(task, spent)
  measure(task)
  if usage.counting then
    usage.count_time(task, spent)
  end
  local budget = budget_of(task)
  local ending = false -- a limit inside was passed
  while budget do
    local cpu = budget.cpu + spent
    budget.cpu = cpu
    if budget.throttled then
      task.rest = (task.rest or 0) + spent * budget.rest
    end
    if cpu > budget.limits.cpu_s and not ending then
      exceed(budget, "cpu_s", cpu)
    end
    if budget.memory > budget.limits.memory_bytes and not ending then
      check_memory(task, 0)
    end
    ending = ending or budget.scope.exceeded ~= nil
    if budget.limits.cpu_percent < infinity then
      check_share(budget, spent)
    end
    budget = budget.outer
  end
end

-- Add to a counter of the running task's budgets: `used` is the counter's name, `limit` that of its limit.
local function add(task, used, limit, amount)
  local budget = task and budget_of(task)
  if not budget then
    return
  end
  while budget do
    local total = budget[used] + amount
    budget[used] = total
    if total > budget.limits[limit] then
      exceed(budget, limit, total)
    end
    budget = budget.outer
  end
  stop_here(task)
end

-- A task more, or less, in `home`.
local count_task
function count_task(home, change)
  local budget = home.budget
  while budget do
    local total = budget.alive + change
    budget.alive = total
    if change > 0 and total > budget.limits.tasks then
      exceed(budget, "tasks", total)
    end
    budget = budget.outer
  end
  if change > 0 then
    local task = current()
    if task and scope.is_killed(task) then
      count_task(home, -1) -- it will not exist
      scope.check(task)
    end
  end
end

--- What functions in C ask first, for they cannot be stopped half-way. A killed task does not return from it.
M.allowance = {}

--- So many bytes are about to be made at once.
---@param n number
function M.allowance.bytes(n)
  local task = current()
  local budget = task and budget_of(task)
  if budget and n > 0 then
    measure(task)
    check_memory(task, n)
    stop_here(task)
  end
end

--- So many bytes are about to be written.
---@param n number
function M.allowance.output(n)
  add(current(), "output", "output_bytes", n)
end

-- The stack of a task that waits where Lua cannot yield is kept by Python: so many bytes, measured.
local STACK_BYTES = 10000

-- `later`: it stands still in the middle of a step, and is judged after one.
local function count_stack(task, change, later)
  grow(budget_of(task), change * STACK_BYTES)
  if change > 0 and not later then
    check_memory(task, 0) -- it is about to wait: a kill wakes it
  end
end

local function count_call(task)
  add(task, "calls", "host_calls", 1)
end

-- What Python keeps of a host call that is under way, its trio task above all: so many bytes, measured.
local CALL_BYTES = 6000

local function count_pending(task, change)
  grow(budget_of(task), change * CALL_BYTES)
  if change > 0 then
    check_memory(task, 0)
  end
end

-- Lua itself had no memory left (the runtime's outer wall): the first limit of memory around the task is
-- passed.
local function out_of_memory(task)
  local budget = budget_of(task)
  while budget do
    local allowed = budget.limits.memory_bytes
    if allowed < infinity or budget.scope.exceeded then
      exceed(budget, "memory_bytes", budget.memory > allowed and budget.memory or allowed)
      return scope.is_cancelled(task)
    end
    budget = budget.outer
  end
  return false
end

-- ---------------------------------------------------------------------------------------------
-- Setting limits

local function check_spec(name, spec)
  if type(spec) ~= "table" then
    bad_argument(1, name, "table of limits expected, got " .. type(spec), 2)
  end
  for key, value in pairs(spec) do
    if key == "policy" then
      if not POLICIES[value] then
        local got = tostring(value)
        bad_argument(1, name, 'policy must be "kill", "throttle" or "warn", got ' .. got, 2)
      end
    elseif not KINDS[key] then
      bad_argument(
        1,
        name,
        "unknown limit '"
          .. tostring(key)
          .. "'; known are cpu_s, cpu_percent, memory_bytes, wall_s, tasks, output_bytes, host_calls, policy",
        2
      )
    elseif type(value) ~= "number" or not (value >= 0) then
      bad_argument(
        1,
        name,
        "limit '" .. key .. "' must be a number that is not negative, got " .. tostring(value),
        2
      )
    end
  end
end

--- From now on each step is metered.
local function start_meter()
  if not metering then
    metering = true
    measured = heap()
    kernel.set_meter(meter)
  end
end
M.start_meter = start_meter

-- From now on there are limits.
local function watch()
  start_meter()
  if not watching then
    watching = true
    post("limited", true) -- a message has two parts at least
    kernel.set_counters(count_task, count_call, out_of_memory, count_stack, count_pending)
    kernel.reserve, kernel.limited = M.allowance.bytes, true
    if M.on_first then
      M.on_first(M.allowance)
    end
  end
end

--- Make a budget; `scope.run` or `scope.enclose` gives it its scope.
---@param spec table {cpu_s=, cpu_percent=, memory_bytes=, wall_s=, tasks=, output_bytes=, host_calls=,
--   policy=}
---@param outer table|nil the budget around it
---@return table budget
function M.new(spec, outer)
  watch()
  local limits = {}
  for key in pairs(KINDS) do
    limits[key] = spec[key] or infinity
  end
  local policy = spec.policy or "kill" -- milder inside than outside: the outer limits hold as they are
  return setmetatable({
    outer = outer,
    depth = outer and outer.depth + 1 or 1,
    scope = nil, -- set with its scope
    limits = limits,
    policy = policy,
    cpu = 0, -- seconds
    share_cpu = 0, -- seconds since `share_began`
    share_began = now(),
    throttled = false,
    wall_began = nil, -- absolute second
    rest = REST, -- when throttled: see there
    memory = 0, -- bytes, an estimate
    alive = 0, -- tasks
    output = 0, -- bytes
    calls = 0, -- host calls
  }, Budget)
end

--- Start the clock of a budget that has got its scope.
function M.begin(budget)
  budget.wall_began = budget.wall_began or now()
  if budget.limits.wall_s < infinity then
    timers.arm(budget, budget.wall_began + budget.limits.wall_s)
  end
end

--- A scope that lives as long as the runtime gets a budget.
function M.attach(target, budget)
  target.budget, budget.scope = budget, target
  M.begin(budget)
end

local function ended(budget, ...)
  if budget.scope.exceeded and budget.scope.exceeded.limit == "memory" then
    local task = current()
    book(task)
    collectgarbage() -- what it held is garbage now and must not count against others
    measure(task)
  end
  return ...
end

-- Can the running task have limits inside those it has? Raises at `level`.
local function check_possible(level)
  local task = current()
  if not kernel.can_preempt() then
    error(
      "limits need preemption, which is off (--slice inf) or not to be had on this engine",
      level
    )
  elseif not task then
    error("cannot limit outside a task", level)
  end
  local outer = budget_of(task)
  if outer and outer.depth >= MAX_DEPTH then
    error("limits are nested more than " .. MAX_DEPTH .. " deep", level)
  end
end

local function run(spec, fn, ...)
  local budget = M.new(spec, budget_of(current()))
  budget.alive = -1 -- the task below does not count
  -- In a task of its own: one that is killed and goes on is abandoned, and the caller must not be.
  local function body(...)
    return kernel.spawn(nil, fn, select("#", ...) > 0 and pack(...) or nil):join()
  end
  return ended(budget, scope.run({ budget = budget, begin = M.begin }, body, ...))
end

--- Run `fn(...)` within limits. A checkpoint.
---@param spec table see `new`
---@param fn function
---@return any ... fn's values; or nil and an error table {kind="limit", limit=, used=, allowed=, message=}
function M.limit(spec, fn, ...)
  check_spec("limit", spec)
  check_callable(2, "limit", fn)
  check_possible(3)
  return run(spec, fn, ...)
end

local function raise_exceeded(values)
  local err = values[2]
  if values.n == 2 and values[1] == nil and type(err) == "table" and err.kind == "limit" then
    error(err, 0)
  end
  return unpack(values, 1, values.n)
end

--- `fn` within limits, as a function that raises when one is reached (spawn_with).
function M.wrap(spec, fn)
  check_spec("spawn_with", spec)
  return function(...)
    check_possible(0) -- no line of the script's is to blame: this is the task's body
    return raise_exceeded(pack(run(spec, fn, ...)))
  end
end

--- Look now whether a budget is used up, not only after the next step of `task`, which it limits.
function M.check(task, budget)
  if budget.cpu > budget.limits.cpu_s then
    exceed(budget, "cpu_s", budget.cpu)
  end
  if budget.alive > budget.limits.tasks then
    exceed(budget, "tasks", budget.alive)
  end
  check_memory(task, 0)
end

return M
