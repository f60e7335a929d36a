--- The scheduler: run queue, parking, the portal's Lua half, and the loop that the driver feeds.
--
-- Belongs here: how a task gets and gives up the processor. Does not belong here: scopes and
-- cancellation (scope.lua), what is waited for (task.lua, event.lua, host.lua), errors (failure.lua).
-- This is the only file that yields raw or calls the host.
--
-- A task asks by yielding one of four private tags. It becomes runnable only through `reschedule`,
-- exactly once per park. All state lives in upvalues, none in the loop's locals: a loop may be frozen
-- in the middle of a step by the portal while another loop goes on (docs/design.md, "The portal").

local create, yield = coroutine.create, coroutine.yield
local resume, isyieldable, co_status = coroutine.resume, coroutine.isyieldable, coroutine.status
local collectgarbage, select, error, xpcall = collectgarbage, select, error, xpcall
local rawequal = rawequal
local pairs, next, type, sub, jit = pairs, next, type, string.sub, jit
local setmetatable, sethook, running = setmetatable, debug.sethook, coroutine.running
local infinity = math.huge
local pack = table.pack or function(...)
  return { n = select("#", ...), ... }
end
local unpack = table.unpack or unpack

local classes = require("classes")
local timers = require("timers")
local failure = require("failure")
local host = require("host_door") -- now, real_now, portal: the functions that reach Python

local arm, disarm = timers.arm, timers.disarm
local on_error = failure.handler
local CANCEL = failure.CANCEL
local clock = host.now
local real_now = host.real_now -- real seconds also when `now` is virtual
local cpu_now = host.cpu_now -- seconds of processor time of this OS thread

local M = { pack = pack, unpack = unpack }

-- The tags. Private functions: nothing a script yields can be mistaken for one, and unlike a table
-- a function compares without asking the other value's __eq.
local function TURN() end -- a cooperative yield: run me again in the next round
local function PARK() end -- I registered what I wait for; somebody will reschedule me
local function CALL() end -- perform my host call now
local function DONE() end -- my body has ended; this coroutine can run another
local function DEAD() end -- my body has ended, and a script has seen this coroutine
M.is_tag = { [TURN] = true, [PARK] = true, [CALL] = true }

-- Results that `park` turns into something else than a value. Functions like the tags: a result may be any
-- value of the script's, and its __eq is not asked.
local function CANCELLED() end
local function REFUSED() end
local function TIMEOUT() end
M.TIMEOUT = TIMEOUT

local tasks = {} -- coroutine -> task, from spawn to end
local LOOP = {} -- stands there for the coroutines of kernel loops
-- The coroutines that run: levels[1] is the running task's, `nobody` when none runs; behind it the script's
-- own inside it, outermost first, levels[nest.depth] being the innermost (coroutine.lua). Read also from
-- the watchdog's thread (bridge/preemption.py), hence: the array never grows, and each slot always holds a
-- coroutine. Lua allows fewer than 200 resumes inside one another.
local nobody = create(function() end)
local levels = {}
for i = 1, 256 do
  levels[i] = nobody
end
local nest = { depth = 1, levels = levels, nobody = nobody }
M.nest = nest

local special = false -- the hot loop must stop and look why
local overdue = false -- the watchdog wants the slice to end
local measuring = false -- count yields and run time per task
local booked = 0 -- while measuring: processor time up to which it has been booked
local meter = nil -- function(task, seconds): what limits.lua does with the time of each step
local count_task, count_call = nil, nil -- function(scope, change), function(task): the same for these
local count_stack = nil
local out_of_memory = nil -- function(task) -> boolean: Lua had no memory left; was that the task's limit?
local give_back = nil -- function(task, ok, ...) -> ok, ...: its end leaves locks behind (holdings.lua)

-- Run queue of normal priority: `cur` is this round, `nxt` the next. Two dense arrays swapped each
-- round; a sliding window over one table costs 10x on LuaJIT (measured, docs/design.md).
local cur, nxt = {}, {}
local head, tail, ntail = 1, 0, 0
local leftover = 0 -- stale slots in nxt, overwritten as it fills
local inside = 0 -- the last slice, or loop, left so many in nxt; what follows was woken from outside
local stale = false -- a killed scope has left coroutines in slots that were passed
local favoured = false -- the last slice began with what was woken from outside
local held, nheld = {}, 0 -- that waits for the next slice

local classified = false -- whether any task was ever of another class
local judge = nil -- function(): failures to be judged when the tasks that stood aside have run; scope.lua
local is_forsaken = nil -- function(task) -> boolean: abandon it before its next step? set by scope.lua
local on_resumed = nil -- function(task): it was set aside, is cancelled and goes on; set by preemption.lua
local had_turn = false -- a task that stood aside has gone on since `judge` was called
local ending = false -- the slice ends after this step
local pausing = 0 -- the task in whose step, between two host calls, trio got its last checkpoint
local cut = false -- a preemption has cut the round short
local extra = false -- the next round is not simply the next of normal priority: look why
local due = false -- a timer was armed that is due already: it fires before the next round
local timed = 0 -- parked tasks with a timer; both spare `reschedule` a look at the task

local frozen = {} -- task's coroutine -> id of the kernel loop whose stack holds it
local put_away = {} -- of these, the ones that did not freeze themselves -> the levels inside them
local loop_id = 0 -- id of the loop that is running
local frozen_call = nil -- a task that froze with a host call to perform
local calls, call_head, call_tail = {}, 1, 0 -- host calls to perform, of tasks begun by `start_now`
local parting = {} -- coroutines to be kept until the slice ends, see `start_now`
local outbox = {} -- messages for the driver that no task is waiting on
local outbox_size = 0

-- Counters, kept always: an upvalue costs next to nothing.
local spawned, ended_count, switches, parks, portal_parks, host_calls = 0, 0, 0, 0, 0, 0
local preemptions = 0

-- Observers: statistics, tracing and journalling attach here and nowhere else.
local instrument = nil

local Task = {} -- methods are added by task.lua
Task.__index = Task
M.Task = Task

-- function(parent) -> storage, site: what children get from parents; nil while that is nothing
local inherit = nil
local ended -- function(task): set by scope.lua
local is_cancelled -- function(task) -> boolean; set by scope.lua
local check_cancelled -- function(task): raises when the task's scope is cancelled; set by scope.lua
local leave -- function(scope, task, ok, ...): ends the scope around a body; set by scope.lua
local wind_up -- function(task): ends scopes the body left open; set by scope.lua
-- Cancelled scopes that are still open, and tasks that are telling their error (`tell`): 0 means that a wait
-- needs no check.
local cancels = 0

--- Let scope.lua in: it is written on top of this file.
function M.connect(hooks)
  ended, wind_up, leave = hooks.ended, hooks.wind_up, hooks.leave
  is_cancelled, check_cancelled = hooks.is_cancelled, hooks.check
end

--- From now on tasks may hold locks, and their end gives them back.
---@param fn function(task, ok, ...) -> ok, ...: for a task with the field `held`, which it clears
function M.set_give_back(fn)
  give_back = fn
end

--- From now on children get something from their parents.
---@param fn function(parent) -> storage, site; parent is nil for a task spawned by Python
function M.set_inherit(fn)
  inherit = fn
end

-- The same for those who check only then: `if pressing.cancels > 0 then enter() end` before what cannot wait.
local pressing = { cancels = 0 }
M.pressing = pressing

function M.add_cancels(n)
  cancels = cancels + n
  pressing.cancels = cancels
end

--- Any cancelled scope open? A cheap test before the walk up the scopes.
function M.cancelling()
  return cancels > 0
end

-- ---------------------------------------------------------------------------------------------
-- Becoming ready

local function push(task)
  local class = task.class
  if class then
    class:push(task.co)
    extra = true
  else
    local n = ntail + 1
    ntail = n
    nxt[n] = task.co
  end
end

--- Make a parked task ready: the one door in.
---@param task table a parked task
---@param result any what its `park` returns
local function reschedule(task, result)
  if not task.wait then
    error("kernel: task " .. task.id .. " was rescheduled while it did not wait")
  end
  if timed > 0 and task.timer then
    timed = timed - 1
    disarm(task)
  end
  task.wait = nil
  task.on = result
  if instrument then
    instrument("scheduled", task)
  end
  if classified and task.class then
    push(task)
  else
    local n = ntail + 1
    ntail = n
    nxt[n] = task.co
  end
end
M.reschedule = reschedule

--- `reschedule` for a waiter (waitlist.lua), which may be no task.
---@param waiter table
local function wake(waiter, result)
  if waiter.co then
    reschedule(waiter, result)
  else
    waiter:fire(result)
  end
end
M.wake = wake

--- `wake` for those in list[first] to list[last], which lets them go; false entries are skipped.
function M.wake_each(list, first, last, result)
  -- `timed`: an absent field is searched for in Task, too, and 10,000 waiters' records are in no cache.
  for i = first, last do
    local task = list[i]
    list[i] = nil
    local plain = task and task.wait and not (classified or instrument or timed > 0 and task.timer)
    if task and not plain then
      wake(task, result)
    elseif plain then
      task.wait, task.on = nil, result
      local n = ntail + 1
      ntail = n
      nxt[n] = task.co
    end
  end
end

--- `wake` for who came first in `list` (waitlist.lua), which lets it go; somebody waits there.
---@return any value what the waiter has brought
function M.wake_first(list, result)
  local first, value = list.first, nil
  local waiter, values = list[first], list.values
  if first == list.last then
    list[first] = nil
    list.first, list.last = 1, 0
    if values then
      value = values[first]
      values[first] = nil
    end
  else
    waiter, value = list:pop()
  end
  if waiter.wait and not (classified or instrument or timed > 0 and waiter.timer) then
    waiter.wait, waiter.on = nil, result -- `reschedule`, in line
    local n = ntail + 1
    ntail = n
    nxt[n] = waiter.co
  else
    wake(waiter, result)
  end
  return value
end

-- Lua's own message; a guard may have put the script's line in front. (No pattern: it would look at each
-- byte of a message that may have millions.)
local NO_MEMORY = "not enough memory"
local function is_memory_error(value)
  return type(value) == "string" and sub(value, -#NO_MEMORY) == NO_MEMORY
end

local function stop_telling(task)
  if task.telling then
    task.telling = nil
    cancels = cancels - 1
  end
end

--- Make the text of the error that ends the running task. The script's own methods may run, but not wait.
function M.tell(task, failed)
  if not task.telling then
    task.telling = true
    cancels = cancels + 1
  end
  failure.render(failed)
  stop_telling(task)
end

-- The last thing that runs on a task's own coroutine.
local conclude
function conclude(ok, ...)
  local task = tasks[levels[1]]
  if not ok and out_of_memory and is_memory_error((...)) and out_of_memory(task) then
    return conclude(false, CANCEL) -- its limit, not its error
  end
  if give_back and task.held then -- before it waits for its children, who may wait for that
    return conclude(give_back(task, ok, ...))
  end
  if task.own or task.inner then
    local own = task.own
    if own and not own.closed then
      return conclude(xpcall(leave, on_error, own, task, ok, ...))
    elseif task.inner then
      wind_up(task)
    end
  end
  if ok then
    task.state = "done"
    task.on = select("#", ...) > 0 and pack(...) or nil
  elseif cancels > 0 and rawequal((...), CANCEL) then
    task.state, task.on = "cancelled", nil
  else
    local failed = failure.capture((...), task)
    if task.watched then
      -- Here, where a __tostring of the script's that never ends can be stopped; before the task has ended,
      -- for it may be set aside meanwhile.
      M.tell(task, failed)
    end
    task.state, task.on = "failed", failed
  end
  if task.struck then
    sethook() -- preemption.lua's: no script code is left to raise in
  end
  if cancels > 0 then
    stop_telling(task) -- the mark may have ended `tell`
  end
  ended_count = ended_count + 1
  ended(task)
  if instrument then
    instrument("exited", task)
  end
end

-- `body` and `park` keep their frames small: a parked task whose stack outgrows Lua's first 40 slots, of
-- which Lua wants 20 free for the yield, costs 640 bytes more.
local function start()
  local task = tasks[levels[1]]
  local fn = task.fn
  task.fn = nil -- its slot in the record serves for the waits
  return fn
end

local function take_arguments(task)
  local args = task.on
  task.on = nil
  return unpack(args, 1, args.n)
end

-- Coroutines whose task has ended, ready for another: making one costs more than all the rest of a spawn.
-- One that a script has seen (coroutine.running) is not used again: it may be a key in the script's tables.
local spare, nspare = {}, 0
-- 10,000 are about 10 MB: a round in which so many tasks end makes the next 10,000 without new ones. 1,000
-- while nothing runs, and for good once memory is limited, for what is kept counts as used.
local FEW_SPARE, MANY_SPARE = 1000, 10000
local max_spare = MANY_SPARE
local seen = setmetatable({}, { __mode = "k" })
M.seen = seen

local function forget_spare()
  for i = FEW_SPARE + 1, nspare do
    spare[i] = nil
  end
  nspare = nspare < FEW_SPARE and nspare or FEW_SPARE
end

-- What such a coroutine does, one task after the other. No variable: see `start`.
local function body()
  while true do
    if cancels > 0 and is_cancelled(tasks[levels[1]]) then
      conclude(false, CANCEL)
    elseif tasks[levels[1]].on then
      conclude(xpcall(start(), on_error, take_arguments(tasks[levels[1]])))
    else
      conclude(xpcall(start(), on_error))
    end
    if seen[levels[1]] then
      return DEAD
    end
    yield(DONE)
  end
end

-- The options of `spawn`, off the common path.
local function set_options(task, scope, options)
  if options.class then
    task.class = options.class
    classified = true
  end
  task.name = options.name
  if options.background then
    task.background = true
    scope.waited = scope.waited - 1
  end
end

--- Create a child of `scope`; it starts in the next round.
---@param scope table|nil its home: {first=, last=, count=, waited=}, see scope.lua; nil: the current one
---@param fn function
---@param args table|nil packed arguments
---@param options table|nil {name=, class=, background=, parked=}: class nil is normal priority; with
--   `parked` it starts when somebody reschedules it, with the result (packed) as arguments, and the
--   caller parks it in the next line
---@return table task
function M.spawn(scope, fn, args, options)
  local parent = tasks[levels[1]]
  if not scope then
    if not parent then
      error("cannot spawn outside a task", 3)
    end
    scope = parent.inner or parent.home
  end
  local storage, site
  if inherit then
    storage, site = inherit(parent)
  end
  if scope.budget then
    count_task(scope, 1)
  end
  local co
  if nspare > 0 then
    co = spare[nspare]
    spare[nspare] = nil
    nspare = nspare - 1
  else
    co = create(body)
  end
  local id = spawned + 1
  spawned = id
  local last = scope.last
  local task = setmetatable({
    co = co,
    id = id,
    home = scope,
    fn = fn,
    prev = last, -- children form a list, so that order is the order of spawning
    next = nil,
    state = false, -- at the end how it ended; there from the start, for what is missing is looked for in Task
    wait = nil, -- kind of the wait, nil while ready or running
    on = args, -- arguments before the start, what it waits for, at the end the outcome
  }, Task)
  tasks[co] = task
  if last then
    last.next = task
  else
    scope.first = task
  end
  scope.last = task
  scope.count = scope.count + 1
  scope.waited = scope.waited + 1
  if inherit then
    task.storage, task.site = storage, site
  end
  if options then
    set_options(task, scope, options)
  end
  if instrument then
    instrument("spawned", task)
  end
  if not options then
    local n = ntail + 1
    ntail = n
    nxt[n] = co
  elseif not options.parked then
    push(task)
  end
  return task
end

-- ---------------------------------------------------------------------------------------------
-- Giving the processor up

-- Is the running task really on the stack? A finalizer may run between two steps.
local function may_freeze()
  if not host.portal then
    return false,
      "cannot wait here: Lua does not allow a yield in this place (a callback of sort, gsub or a "
        .. "metamethod called from C) and the portal is not available: "
        .. (host.portal_missing or "unknown reason")
  end
  local collecting = collectgarbage("isrunning")
  if collecting == nil or jit and collecting == false and not M.collector_stopped then
    return false, "cannot wait inside a __gc metamethod"
  end
  if levels[1] == nobody or co_status(levels[1]) == "suspended" then
    return false, "cannot wait outside a task"
  end
  return true
end

-- While measuring: the running task has used the processor until now.
local function book(task)
  local time = cpu_now()
  local spent = time - booked
  booked = time
  task.run_time = (task.run_time or 0) + spent
  if meter then
    meter(task, spent)
  end
end

--- Book what the running task has used so far: before its use counts for somebody else.
function M.book(task)
  if measuring then
    book(task)
  end
end

-- Others run inside the running coroutine: put its levels away until it goes on.
local function leave_levels()
  local depth = nest.depth
  local saved = { unpack(levels, 1, depth) }
  for i = 2, depth do
    levels[i] = nobody
  end
  nest.depth = 1
  return saved, depth
end

local function enter_levels(saved, depth)
  for i = 1, depth do
    levels[i] = saved[i]
  end
  nest.depth = depth
end

-- Park where Lua cannot yield: the C stack stays as it is, another loop goes on.
local freeze
function freeze(task)
  if nest.depth > 1 then
    local saved, depth = leave_levels()
    freeze(task)
    enter_levels(saved, depth)
    return
  end
  frozen[task.co] = loop_id
  inside = ntail
  portal_parks = portal_parks + 1
  if measuring then
    book(task)
    if count_stack then
      count_stack(task, 1)
    end
    host.portal() -- (a kill by count_stack has put it among the ready ones: it comes back)
    booked = cpu_now()
    if count_stack then
      count_stack(task, -1)
    end
  else
    host.portal()
  end
  -- This loop's caller has stale locals now.
  special = true
end

-- Nobody waits outside a task, nor in the __tostring of the error that has ended it.
local function no_wait(task, level)
  error(task and "cannot wait: the task has ended" or "cannot wait outside a task", level + 1)
end

--- The task that runs now. Raises outside a task and when it is cancelled: for checkpoints that do not park.
---@return table task
local function enter()
  local task = tasks[levels[1]]
  if not task or task.state or task.telling then
    no_wait(task, 3)
  end
  if cancels > 0 then
    check_cancelled(task)
  end
  return task
end
M.enter = enter

-- Both off the common path of `park`: absent fields of a task are searched for in its methods, too, and where
-- Lua can yield a task has not ended.
local function check_wait(task, kind)
  if task.telling then
    no_wait(task, 3)
  elseif not kind.stubborn then
    check_cancelled(task)
  end
end

--- Raise where the running task could not wait, neither by a yield nor through the portal.
local function check_place()
  if not isyieldable() then
    local possible, why = may_freeze()
    if not possible then
      error(why, 0)
    end
  end
end
M.check_place = check_place

-- End a wait that was registered inside a coroutine whose resumer, it turns out, cannot wait.
local function refuse(task, why)
  task.wait.abort(task)
  if task.timer then
    timed = timed - 1
    disarm(task)
  end
  task.wait, task.on, task.refusal = nil, REFUSED, why
end

local function ended_early(task, result)
  if result == CANCELLED then
    check_cancelled(task)
    error("kernel: a wait of " .. task.id .. " was cancelled, the task was not")
  end
  local why = task.refusal
  task.refusal = nil
  error(why, 0)
end

--- A wait without any patience is about to begin: its timer fires before the next round, however long
-- the slice is.
function M.fire_soon()
  due, extra = true, true
end

--- Park the running task until somebody reschedules it: the one funnel of every wait.
-- Raises when the task is cancelled, before anything is registered. Call it as a tail call: the frame
-- saved is 64 bytes a parked task.
---@param kind table what a wait of this kind means:
--   reason  string for reports: "sleep", "event", "host", "io" or "resource"
--   queued  true: the task waits in `on`, a waitlist
--   begin   function(task, on): or it registers the task in its own way
--   abort   function(task) -> boolean: unregister; false when the wait ends later by itself
--   stubborn  true: waits although the task is cancelled
--   detail  function(task) -> string: what it waits for, for people
--   blockers  function(task) -> list: whose doing it waits for, when that is certain (cycles.lua)
--   expire  function(task) -> any: the result when the task's timer comes first; without it TIMEOUT
--   finish  function(result) -> ...: turns what `reschedule` was given, unless nil, into the wait's values
--   marks   result -> function() -> ...: the same for a few results, where the others are values already
---@param on any what it waits for
---@param at number|nil absolute second at which the wait ends by itself
---@return any ... what `kind.finish` makes of the result, or the result
local function park(kind, on, at)
  do
    local yieldable = isyieldable()
    local task = tasks[levels[1]]
    if not task then
      no_wait(task, 2)
    elseif cancels > 0 then
      check_wait(task, kind)
    end
    if not yieldable then
      if task.state then
        no_wait(task, 2)
      end
      check_place()
    end
    if kind.queued then
      local last = on.last + 1
      on.last = last
      on[last] = task
      task.slot = last
    elseif kind.begin then
      kind.begin(task, on)
    end
    if at then
      timed = timed + 1
      arm(task, at)
    end
    task.wait, task.on = kind, on
    parks = parks + 1
    if instrument then
      instrument("parked", task)
    end
    at = yieldable -- and from here on two slots less, see `start`
  end
  if at then
    yield(PARK)
  else
    freeze(tasks[levels[1]])
  end
  local task = tasks[levels[1]]
  local result = task.on
  if result == nil then
    return -- no values
  end
  task.on = nil
  local finish = kind.finish
  if result == CANCELLED or result == REFUSED then
    return ended_early(task, result)
  elseif finish then
    return finish(result)
  end
  local marks = kind.marks
  if marks and marks[result] then
    return marks[result]()
  end
  return result
end
M.park = park

--- End a wait early with `result`, nil for a cancellation.
---@return boolean ended false when the wait ends later by itself (a host call winding up)
function M.abort(task, result)
  if not task.wait.abort(task) then
    return false
  end
  reschedule(task, result or CANCELLED)
  return true
end
M.CANCELLED = CANCELLED

--- Yield to whoever resumed the running coroutine, one of the script's own (pollable.lua).
M.hand_out = yield

--- Let the others run once; a checkpoint.
function M.yield()
  if isyieldable() then
    yield(TURN)
  else
    local task = enter()
    check_place()
    push(task)
    freeze(task)
  end
  if cancels > 0 then
    check_cancelled(tasks[levels[1]])
  end
end

--- The running task has overrun its slice and stands still between two of its instructions, in a hook
-- (preemption.lua): the others go first. Called from outside; its loop is frozen, as by the portal.
---@param task table
function M.set_aside(task)
  preemptions = preemptions + 1
  overdue, special, cut = true, true, true
  if measuring then
    book(task)
  end
  if count_stack then
    count_stack(task, 1, true)
  end
  local co = task.co
  local saved, depth = leave_levels()
  put_away[co] = { saved = saved, depth = depth, number = preemptions }
  frozen[co] = loop_id
  levels[1] = nobody
  if task.rest and task.rest > 0 and not is_cancelled(task) then
    M.rest(task)
  elseif task.class == classes.low then
    push(task)
  else
    classes.overrun:push(co)
    extra = true
  end
  inside = ntail
end

--- The number of the latest preemption, nil when no task stands aside.
---@return integer|nil number
function M.last_aside()
  return next(put_away) and preemptions or nil
end

--- The number of the oldest preemption whose task has not had its turn since; none: math.huge.
---@return number
function M.oldest_aside()
  local oldest = infinity
  for _, entry in pairs(put_away) do
    if entry.number < oldest then
      oldest = entry.number
    end
  end
  return oldest
end

--- Call `fn` between two steps, each time a task that stood aside has had its turn.
---@param fn function|nil
function M.set_judge(fn)
  judge = fn
end

--- Coroutines of abandoned tasks: the task's own and those inside it, for each.
M.abandoned = {}

-- Another coroutine takes the place of the task's own and ends it; so for those that stand on the same stack
-- (`start_now`): they are in the same scope.
local function replace(task)
  repeat
    local old, co = task.co, create(body)
    tasks[old] = (seen[old] or co_status(old) ~= "suspended") and LOOP or nil -- nobody may resume it
    tasks[co] = task
    task.co, task.on, task.replaced = co, nil, true
    stop_telling(task)
    push(task)
    task = task.beneath
  until not task
end

--- The running task was killed and goes on all the same: it never runs again. What stands on its stack is not
-- closed; the scopes it had opened are, by another coroutine in its place.
---@param task table
function M.abandon(task)
  M.abandoned[#M.abandoned + 1] = leave_levels()
  levels[1] = nobody
  inside = ntail
  overdue, special, cut = true, true, true
  replace(task)
end

-- The same for a killed task whose turn has come, when its scope has had more than its share of slices since.
local function forsake(task)
  local co = task.co
  local aside = put_away[co]
  if aside then
    put_away[co], frozen[co] = nil, nil
    had_turn = true
    M.abandoned[#M.abandoned + 1] = aside.saved
  end
  levels[1] = nobody
  replace(task)
end

--- Ask `fn(task)` before each step whether the task is to be abandoned instead; nil: no more.
---@param fn function|nil
function M.set_forsaken(fn)
  is_forsaken = fn
end

--- Call `fn(task)` before a cancelled task that was set aside goes on.
---@param fn function
function M.set_resumed(fn)
  on_resumed = fn
end

--- Pass a tag that came out of a script's own coroutine on to the kernel (coroutine.lua).
---@return string|nil problem
function M.relay(tag)
  if isyieldable() then
    yield(tag)
    return
  end
  local task = tasks[levels[1]]
  local possible, why = may_freeze()
  if not task then
    return "cannot wait outside a task"
  elseif not possible then
    if tag == TURN then
      return why
    end
    refuse(task, why)
  else
    if tag == TURN then
      push(task)
    elseif tag == CALL then
      frozen_call = task
    end
    freeze(task)
  end
end

--- Ask the driver for a host call; parks as `kind` says when the answer is not there at once.
---@param task table as `enter` returned it
---@param kind table as for `park`, without `finish`
---@param request table packed: what the driver gets
---@return any result
function M.call(task, kind, request)
  if count_call then
    count_call(task)
  end
  task.wait, task.on = kind, request
  host_calls = host_calls + 1
  if isyieldable() then
    yield(CALL)
  else
    frozen_call = task
    freeze(task)
  end
  local result = task.on
  task.on = nil
  return result
end

--- Raise if a call's result says that it was cancelled or refused.
function M.check_result(task, result)
  if result == CANCELLED or result == REFUSED then
    ended_early(task, result)
  end
end

--- Tell the driver something at the next safe point.
function M.post(...)
  outbox_size = outbox_size + 1
  outbox[outbox_size] = pack(...)
  special = true
end

-- A task whose limits slow it down rests between its steps (limits.lua).
local REST = {
  reason = "resource",
  abort = function()
    return true
  end,
  expire = function()
    return nil
  end,
  detail = function()
    return "the rest that its limits prescribe"
  end,
}

--- Park a task that has yielded already, between two steps: as `park`, without its values.
---@param at number absolute second at which the wait ends by itself
function M.park_yielded(task, kind, on, at)
  task.wait, task.on = kind, on
  parks = parks + 1
  timed = timed + 1
  arm(task, at)
  if instrument then
    instrument("parked", task)
  end
end

function M.rest(task)
  M.park_yielded(task, REST, nil, clock() + task.rest)
  task.rest = 0
end

-- The running task has given up the processor and wants it again.
local function push_or_rest(task)
  if task.rest and task.rest > 0 then
    M.rest(task)
  else
    push(task)
  end
end

-- ---------------------------------------------------------------------------------------------
-- The loop

local settle -- function(co, ok, tag): everything but the two common tags

-- A message of more values crosses in a table: lupa moves what a coroutine yields to its main stack without
-- asking for room there (hazard "many values", tests/test_hazards.py).
local MANY = 20

local function flush_outbox(me)
  local messages, n = outbox, outbox_size
  outbox, outbox_size = {}, 0
  for i = 1, n do
    local message = messages[i]
    levels[1] = nobody
    if message.n > MANY then
      yield("many", message)
    else
      yield(unpack(message, 1, message.n))
    end
    loop_id = me
  end
end

local slice_s -- without a watchdog: how long a slice may last, checked after each step
local slice_ends = 0

-- What follows a measured step.
local function after_step(task, ...)
  task.yields = (task.yields or 0) + 1
  book(task)
  if slice_s and real_now() >= slice_ends then
    overdue = true
  end
  return ...
end

local function run_now(me, task)
  local co = task.co
  levels[1] = co
  local home = frozen[co]
  if home then
    frozen[co] = nil
    loop_id = home
    local levels_of = put_away[co]
    if levels_of then
      put_away[co] = nil
      had_turn = true
      if count_stack then
        count_stack(tasks[co], -1)
      end
      enter_levels(levels_of.saved, levels_of.depth)
      if cancels > 0 and is_cancelled(task) then
        on_resumed(task)
      end
      special = true -- its loop has stale locals
      booked = measuring and cpu_now() or 0
    end
    -- levels[1] stays: the task goes on in the middle of its step.
    yield("thaw", home)
    loop_id = me
    return nil
  end
  if measuring then
    return settle(me, co, after_step(task, resume(co)))
  end
  return settle(me, co, resume(co))
end

local function after_call(me, task, verdict, ...)
  loop_id = me
  if measuring then
    booked = cpu_now() -- what a host function used is not Lua's
  end
  if verdict == "parked" then
    if M.count_pending then
      M.count_pending(task, 1)
    end
    if cancels > 0 and is_cancelled(task) then
      M.abort(task)
    end
    return nil
  end
  task.wait = nil
  task.on = verdict == "cancelled" and CANCELLED or pack(verdict, ...)
  if overdue and pausing == task.id then
    -- It has been at it for two slices: now the others, and as after a preemption a cancellation counts.
    pausing = 0
    if cancels > 0 and is_cancelled(task) then
      task.on = CANCELLED
    end
    push_or_rest(task)
    return nil
  elseif overdue then
    -- trio gets its checkpoint; no other task runs, a synchronous call is no switch.
    overdue, pausing = false, task.id
    yield("pause", nil)
    loop_id = me
    ending, special = true, true -- timers have waited: the slice ends with this step
  end
  return run_now(me, task)
end

local function perform(me, task)
  local request = task.on
  if measuring then
    book(task) -- until now; what the host function uses is not Lua's
  end
  levels[1] = nobody
  inside = ntail -- another loop begins if the host function blocks
  if request.n > MANY then
    return after_call(me, task, yield("many", request, "call"))
  end
  return after_call(me, task, yield("call", unpack(request, 1, request.n)))
end

-- Raise the mark in a cancelled task that gives up the processor by a raw coroutine.yield, which knows
-- nothing of cancellation: at its next instruction. (Hooks of LuaJIT are global, hence the question.)
local function strike(co)
  sethook(co, function()
    if running() == co then
      sethook()
      check_cancelled(tasks[co])
    end
  end, "", 1)
end

function settle(me, co, ok, tag)
  if tag == PARK then
    return nil
  elseif tag == DONE or tag == DEAD then
    tasks[co] = nil
    if tag == DONE and nspare < max_spare then
      nspare = nspare + 1
      spare[nspare] = co
    end
    return nil
  elseif tag == CALL then
    return perform(me, tasks[co])
  elseif ok then
    -- TURN, or whatever a script yielded at the level of the task: a cooperative yield.
    local task = tasks[co]
    if tag ~= TURN and cancels > 0 and is_cancelled(task) then
      strike(co)
    elseif tag ~= TURN and task.polls and M.park_poller(task) then
      return nil
    end
    push_or_rest(task)
    return nil
  end
  if frozen[co] then
    return run_now(me, tasks[co])
  end
  -- The guard itself failed (the C stack or memory ran out inside it): nothing may wait here.
  local task = tasks[co]
  task.inner, task.own = nil, nil
  levels[1] = co
  conclude(false, tag)
  tasks[co] = nil
end

M.strike = strike

-- ---------------------------------------------------------------------------------------------
-- A step inside a step

-- A task begun by `start_now` wants a host call, which the loop performs after the step around it.
local CALLING = {
  reason = "host",
  abort = function()
    return true -- the call is not made: the loop compares
  end,
  detail = function()
    return "its host call to begin"
  end,
}

-- Taken out one at a time: the loop may be frozen in the middle of each.
local function next_call()
  local entry = calls[call_head]
  calls[call_head] = nil
  if call_head == call_tail then
    call_head, call_tail = 1, 0
  else
    call_head = call_head + 1
  end
  return entry
end

local function perform_calls(me)
  while call_tail > 0 do
    local entry = next_call()
    local task = entry.task
    if task.wait == CALLING and task.on == entry then
      task.wait, task.on = entry.kind, entry.request
      perform(me, task)
    end
  end
end

-- Lua allows fewer than 200 resumes inside one another; the script may have coroutines between ours.
local DEEPEST = 60

--- Run the first step of `task`, which was spawned parked, now, inside the running task's step; what it does
-- after its first wait it does in steps of its own. (A wait where Lua cannot yield holds the outer one up:
-- their stacks lie upon each other. Very deep inside others it begins in the next round.)
---@param task table
function M.start_now(task)
  local outer, co = tasks[levels[1]], task.co
  task.nesting = (outer.beneath and outer.nesting or 0) + 1
  if task.nesting > DEEPEST then
    return push(task)
  end
  if measuring then
    book(outer)
  end
  local saved, depth
  if nest.depth > 1 then
    saved, depth = leave_levels()
  end
  task.beneath, outer.above = outer, task -- `outer` cannot end before this step does
  levels[1] = co
  local ok, tag = resume(co)
  task.beneath, outer.above = nil, nil
  if measuring then
    after_step(task)
  end
  if ok and tag == CALL then
    local entry = { task = task, kind = task.wait, request = task.on }
    task.wait, task.on = CALLING, entry
    call_tail = call_tail + 1
    calls[call_tail] = entry
    special = true
  else
    settle(nil, co, ok, tag)
    if tasks[co] == nil and spare[nspare] ~= co then
      -- The watchdog may be about to arm it: not the loop resumed it, so not the loop keeps it.
      parting[#parting + 1] = co
    end
  end
  levels[1] = outer.co
  if saved then
    enter_levels(saved, depth)
  end
end

-- One step with its bookkeeping, for the classes off the hot path and while measuring.
local function step(me, co)
  levels[1] = co
  if not measuring then
    return settle(me, co, resume(co))
  elseif is_forsaken and is_forsaken(tasks[co]) and (put_away[co] or not frozen[co]) then
    return forsake(tasks[co])
  elseif frozen[co] then
    return run_now(me, tasks[co])
  end
  return settle(me, co, after_step(tasks[co], resume(co)))
end

local function run_class(me, class)
  class:begin_round()
  while not overdue and not frozen_call do
    local co = class:pop()
    if not co then
      return
    end
    switches = switches + 1
    step(me, co)
  end
end

-- Let go what the round before the last one left behind the end of `cur`.
local function forget_leftover()
  local queue = cur
  for i = tail + 1, leftover do
    queue[i] = nil
  end
end

-- A task overran its slice and others of its round have not run yet. What became ready meanwhile goes
-- first: ten busy tasks that begin together would else hold up a timer for ten slices.
local function put_back()
  switches = switches - (tail - head + 1)
  for i = head, tail do
    ntail = ntail + 1
    nxt[ntail] = cur[i]
  end
  head = tail + 1
end

-- Take what was woken from outside since the last slice out of nxt.
local function hold_back()
  local count = ntail - inside
  for i = 1, count do
    held[nheld + i] = nxt[inside + i]
    nxt[inside + i] = nil
  end
  nheld, ntail = nheld + count, inside
end

-- Move queue[first] to queue[last] up by `count` slots.
local function move_up(queue, first, last, count)
  for i = last, first, -1 do
    queue[i + count] = queue[i]
  end
end

-- Those held back come first: in this round, or between two in the next.
local function let_in()
  local count = nheld
  local queue, first = nxt, 1
  if cut or head > tail then
    move_up(nxt, 1, ntail, count)
    ntail = ntail + count
  else
    queue = cur
    local missing = count - (head - 1) -- slots of those who have had their turn serve
    if missing > 0 then
      move_up(cur, head, tail, missing)
      head, tail = head + missing, tail + missing
      switches = switches - missing
    end
    head = head - count
    switches = switches + count
    first = head
  end
  for i = 1, count do
    queue[first - 1 + i] = held[i]
    held[i] = nil
  end
  nheld = 0
end

-- A slice was cut short, and since then timers, host calls or Python have woken some: they go before those
-- whose turn has not come, for these may be a hundred thousand. Only at every other slice: those who wake
-- all the time must not keep the others from running.
local function bring_forward()
  hold_back()
  favoured = nheld > 0 and not favoured
  if favoured then
    let_in()
  end
end

--- A scope was killed and has ended: what it held goes before the next slice.
function M.forget_soon()
  stale = true
end

--- Is there something to forget?
function M.is_stale()
  return stale
end

-- Let the coroutines go whose turn has passed. When a slice begins: until then the watchdog may look at the
-- one that was resumed last (bridge/preemption.py).
local function forget_passed()
  stale = false
  for i = 1, head - 1 do
    cur[i] = nil
  end
  for i = ntail + 1, leftover do
    nxt[i] = nil
  end
end

local function next_round()
  if ntail == 0 then
    return false
  end
  local old = tail
  switches = switches + old
  cur, nxt = nxt, cur
  head, tail, ntail, inside = 1, ntail, 0, 0
  if leftover > tail then
    forget_leftover()
  end
  leftover = old
  return true
end

-- Nothing is ready: let the coroutines in stale slots go, and the slots and spares of a great burst, too.
local function forget_queues()
  if nspare > FEW_SPARE then
    forget_spare()
  end
  if tail > 1000 or leftover > 1000 then
    cur, nxt = {}, {}
    switches = switches + tail
    head, tail, leftover = 1, 0, 0
    return
  end
  for i = 1, tail do
    cur[i] = nil
  end
  for i = 1, leftover do
    nxt[i] = nil
  end
  switches = switches + tail
  head, tail, leftover = 1, 0, 0
end

local function fire_timers()
  levels[1] = nobody -- nobody runs: it may still be a task that has parked or is frozen
  local time = clock()
  local owner = timers.pop_due(time)
  while owner do
    owner:on_deadline()
    if overdue then
      break -- thousands may be due together; the rest comes with the next slice
    end
    owner = timers.pop_due(time)
  end
end

--- A task's own timer came first: its wait ends with TIMEOUT, or with what `kind.expire` says.
function Task:on_deadline()
  timed = timed - 1
  local expire = self.wait.expire
  if expire then
    reschedule(self, expire(self))
  else
    M.abort(self, TIMEOUT)
  end
end

-- Run until the slice is over or nothing is ready.
local function run(me)
  loop_id = me
  if stale then
    forget_passed()
  end
  nest.depth = 1 -- a stack overflow in coroutine.lua may have left it
  if parting[1] then
    parting = {}
  end
  if not due or head > tail or cut then -- `fire_soon` has promised the end of the round
    fire_timers()
  end
  if inside > 0 or head <= tail or nheld > 0 then
    bring_forward()
  end
  if cut then
    cut = false
    if ntail > 0 and head <= tail then
      put_back()
    end
  end
  if measuring then
    booked = cpu_now() -- from here on everything is some task's: the kernel's own work is the next one's
  end
  if slice_s then
    slice_ends = real_now() + slice_s
  end
  while true do
    while frozen_call do
      local task = frozen_call
      frozen_call = nil
      perform(me, task)
    end
    if special or overdue then
      if ending then
        ending, overdue = false, true
      end
      special = measuring
      if judge and had_turn then
        had_turn = false
        judge()
      end
      if call_tail > 0 then
        perform_calls(me)
      end
      if outbox_size > 0 then
        flush_outbox(me)
      end
      if overdue then
        overdue = false
        levels[1] = nobody
        inside = ntail
        return "slice", nil
      end
    end
    if head > tail and (extra or not next_round()) then
      if due then
        due = false
        fire_timers()
      end
      local class = classes.ready > 0 and classes.pick(ntail > 0)
      extra = classes.ready > 0
      if class then
        run_class(me, class)
      elseif nheld > 0 and ntail == 0 then
        let_in()
      elseif judge and ntail == 0 and not next(put_away) then
        judge() -- may make some ready
      elseif not next_round() and outbox_size == 0 and not frozen_call then
        forget_queues()
        levels[1] = nobody
        inside = 0
        return "idle", timers.next_deadline()
      end
    elseif measuring then
      local co = cur[head]
      head = head + 1
      step(me, co)
    end
    while not special do
      -- The hot loop: nothing here that a switch does not need.
      local queue, seats = cur, levels
      for i = head, tail do
        local co = queue[i]
        seats[1] = co
        head = i + 1
        local ok, tag = resume(co)
        if tag == TURN then
          local n = ntail + 1
          ntail = n
          nxt[n] = co
        elseif tag == DONE then
          tasks[co] = nil
          if nspare < max_spare then
            nspare = nspare + 1
            spare[nspare] = co
          end
        elseif tag ~= PARK then
          settle(me, co, ok, tag)
          break
        end
        if special then
          break
        end
      end
      if special or head <= tail then
        break
      end
      if special or extra or frozen_call or not next_round() then
        break
      end
    end
  end
end

if jit then
  jit.off(run) -- compiled, the loop would not see the watchdog's hook
end

--- Body of a kernel loop's own coroutine; the driver resumes it slice by slice.
---@param me integer id of this loop
function M.loop(me)
  tasks[running()] = LOOP -- no task's, but out of the script's reach like one
  while true do
    yield(run(me))
  end
end

--- The watchdog's hook on a kernel loop: end the slice after this step.
function M.end_slice()
  overdue, special = true, true
  -- Once is enough: left on, every instruction of the loop would pay. No mask means off, and the function
  -- stays registered for the next time.
  sethook(M.end_slice, "", 0)
end

-- ---------------------------------------------------------------------------------------------
-- Looking on

function M.current()
  local task = tasks[levels[1]]
  return task ~= LOOP and task or nil
end

--- Coroutines that scripts may neither resume nor close: of tasks and of kernel loops. Read only.
M.owned = tasks

--- Count yields and run time per task; with `slice` also end slices by the clock (no watchdog).
function M.measure(slice)
  measuring, special = true, true
  slice_s = slice or slice_s
end

--- Let limits.lua count: `task(scope, change)` before a task is spawned and after it has ended,
-- `call(task)` before a host call. Either may raise. `memory(task)` after Lua's own "not enough memory".
-- `stack(task, change)` when its C stack is put away and taken out again; `pending(task, change)` when it
-- begins to wait for a host call and when that is over.
function M.set_counters(task, call, memory, stack, pending)
  count_task, count_call, out_of_memory, count_stack = task, call, memory, stack
  max_spare = FEW_SPARE
  forget_spare()
  M.count_task, M.count_pending = task, pending
end

--- So many bytes are about to be made; raises in a task whose limit that would pass (limits.lua).
---@param bytes number
function M.reserve(bytes) end -- luacheck: ignore 212

--- Strings are about to be copied to Python, each as often as it is given.
function M.reserve_copies(...)
  local bytes, values = 0, { ... }
  for i = 1, select("#", ...) do
    local value = values[i]
    if type(value) == "string" then
      bytes = bytes + #value
    end
  end
  if bytes > 1000000 then
    M.reserve(bytes)
  end
end

--- Whether a task that does not give up the processor can be stopped.
function M.can_preempt()
  return host.can_preempt == true
end

--- Measure, and let `fn(task, seconds)` know of the processor time of each step.
function M.set_meter(fn)
  M.measure(nil)
  booked = cpu_now()
  meter = fn
end

function M.set_instrument(fn)
  instrument = fn
end

--- A number that is another one whenever a task has had a turn.
function M.turns()
  return switches + head
end

--- Ask Python to open one of its modules (bridge/modules), when a library of ours needs it.
---@return ... for each function: name, number, whether it waits
function M.open_module(name)
  if host.open_module then
    return host.open_module(name)
  end
end

--- Counters since the start, for statistics.
function M.counters()
  return {
    tasks_alive = spawned - ended_count,
    tasks_ready = tail - head + 1 + ntail + nheld + classes.ready,
    tasks_spawned = spawned,
    tasks_ended = ended_count,
    switches = switches + head - 1,
    parks = parks,
    portal_parks = portal_parks,
    preemptions = preemptions,
    host_calls = host_calls,
  }
end

--- Seconds on the runtime's clock.
function M.now()
  return clock() -- through a function of ours, so that `close` can cut the way to Python
end

--- The runtime closes: finalizers that run with the state's end must not reach Python.
function M.close()
  function clock()
    error("the runtime is closed", 0)
  end
  real_now, cpu_now = clock, clock
  host.now, host.real_now, host.cpu_now, host.portal = nil, nil, nil, nil
  host.source, host.open_module = nil, nil
  host.portal_missing = "the runtime is closed"
end

--- All live tasks, in no order (listing.lua).
function M.all_tasks()
  local list = {}
  for _, task in pairs(tasks) do
    if task ~= LOOP then
      list[#list + 1] = task
    end
  end
  return list
end

return M
