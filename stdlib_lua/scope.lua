--- Scopes: nurseries in Lua. A scope owns tasks, ends after them, and is the unit of cancellation.
--
-- Belongs here: who is a child of whom, cancellation, how failures travel. Rules as in trio (nurseries,
-- level-triggered cancellation, shields) and Kotlin's coroutineScope.
--
-- A task's current scope is `task.inner or task.home`; a scope's parent is the scope its owner was in.

local kernel = require("kernel")
local failure = require("failure")
local joiners = require("joiners")
local put_off = require("backlog").put_off
local cut_off = require("holdings").cut_off
local timers = require("timers")

local xpcall, error, setmetatable, rawequal = xpcall, error, setmetatable, rawequal
local ipairs, tostring = ipairs, tostring
local insert, now, running = table.insert, kernel.now, coroutine.running
local CANCEL, handler, remember = failure.CANCEL, failure.handler, failure.remember
local wake_joiners = joiners.wake
local reschedule, park, cancelling = kernel.reschedule, kernel.park, kernel.cancelling

local Scope = {}
Scope.__index = Scope

local M = { Scope = Scope }

-- How often CANCEL was raised, in all tasks. pcall compares: was it raised inside and then replaced?
-- And how many open scopes were opened in a coroutine of the script's own, see M.left_open.
local count = { raises = 0, nested = 0 }
M.count = count

-- ---------------------------------------------------------------------------------------------
-- Is it cancelled?

local kills = 0 -- open scopes that were killed; see Scope:kill

-- The killed scope at or around `scope`. Shields do not count.
local killed_from
function killed_from(scope)
  while scope do
    if scope.killed and not scope.closed then
      return scope
    end
    local caller = scope.caller
    local around = caller and killed_from(caller.inner or caller.home)
    if around then
      return around
    end
    scope = scope.parent
  end
end

--- Is `task` in a killed scope? Shields do not count.
local function is_killed(task)
  return kills > 0 and killed_from(task.inner or task.home) ~= nil
end
M.is_killed = is_killed

-- After so many tasks of a killed scope have gone on for a slice, the others' cleanup does not run:
-- thousands with a slice each would use many times what the limit allows.
local MAX_OBSTINATE = 8

local function is_forsaken(task)
  -- Of a scope that it has opened itself (task.limit) it waits for the end.
  local scope = not task.replaced and killed_from(task.own or task.home)
  return scope and scope.obstinate ~= nil and scope.obstinate >= MAX_OBSTINATE
end

--- A cancelled task has used a whole slice. Counts when it was killed.
function M.note_obstinate(task)
  local scope = killed_from(task.own or task.home)
  if scope then
    scope.obstinate = (scope.obstinate or 0) + 1
    if scope.obstinate >= MAX_OBSTINATE then
      kernel.set_forsaken(is_forsaken)
    end
  end
end

--- Is any scope being killed? What it holds is about to go.
function M.killing()
  return kills > 0 or kernel.is_stale()
end

--- Is `task` cancelled: itself, or, up to the nearest shield, a scope or a task around it? Or the one in
-- whose step its first step runs?
local is_cancelled
function is_cancelled(task)
  if is_killed(task) then
    return true
  end
  local scope = task.inner or task.home
  while true do
    if scope == task.home then
      if task.doomed or task.beneath and is_cancelled(task.beneath) then
        return true
      end
      task = scope.owner
      if not task then
        return scope.cancelled ~= nil
      end
      -- `scope` is one of the owner's open scopes: go on up from there.
    end
    if scope.cancelled then
      return true
    end
    if scope.shield then
      return false
    end
    scope = scope.parent
  end
end
M.is_cancelled = is_cancelled

local function check(task)
  if is_cancelled(task) then
    count.raises = count.raises + 1
    task.raised = count.raises
    error(CANCEL, 0)
  end
end
M.check = check

--- Unwind the running task now, whatever shields it (os.exit).
function M.leave_now(task)
  count.raises = count.raises + 1
  task.raised = count.raises
  error(CANCEL, 0)
end

--- Must `value`, caught by pcall in the running task, go on as CANCEL?
---@param before integer `count.raises` when the protected call began
function M.must_go_on(value, before)
  if not kernel.cancelling() then
    return false
  end
  local task = kernel.current()
  if not task or not (rawequal(value, CANCEL) or (task.raised or 0) > before) then
    return false
  end
  return is_cancelled(task)
end

-- ---------------------------------------------------------------------------------------------
-- Cancelling

local rouse

local function rouse_children(scope)
  local child = scope.first
  while child do
    local next_child = child.next
    rouse(child)
    child = next_child
  end
end

-- Wake `task` if its wait can be aborted, then everything below the scopes it has open.
function rouse(task)
  if task.wait and is_cancelled(task) then
    kernel.abort(task)
  end
  if task.above then
    rouse(task.above)
  end
  local scope = task.inner
  while scope do
    rouse_children(scope)
    scope = scope.parent ~= task.home and scope.parent or nil
  end
end

-- Wake everything in the scope that is cancelled.
local function rouse_all(scope)
  local owner = scope.owner
  if owner then
    if owner.wait and is_cancelled(owner) then
      kernel.abort(owner)
    end
    -- The owner may have opened scopes inside this one.
    local inner = owner.inner
    while inner and inner ~= scope do
      rouse_children(inner)
      inner = inner.parent
    end
  end
  rouse_children(scope)
end

--- Cancel everything in the scope; level-triggered, until the scope ends. Not a checkpoint.
---@param reason string|nil for status and reports
---@return boolean first false when it was cancelled already
function Scope:cancel(reason)
  if self.cancelled or self.closed then
    return false
  end
  self.cancelled = reason or "cancelled"
  kernel.add_cancels(1)
  rouse_all(self)
  return true
end

--- Cancel everything in the scope past every shield: each wait ends, each later one raises at once, and what
-- goes on computing is struck down (preemption.lua). For limits, and against waits that nobody can end.
---@param reason string
function Scope:kill(reason)
  if self.killed or self.closed then
    return
  end
  self.killed = true
  kills = kills + 1
  if not self.cancelled then
    self.cancelled = reason
    kernel.add_cancels(1)
  end
  rouse_all(self)
end

--- Cancel one task and everything in the scopes it has open.
function M.cancel_task(task, reason)
  if not task.doomed then
    task.doomed = reason or "cancelled"
    kernel.add_cancels(1)
    rouse(task)
  end
end

function Scope:on_deadline()
  self:cancel("timeout")
end

-- ---------------------------------------------------------------------------------------------
-- Children

local function new(owner, parent)
  return setmetatable({
    owner = owner,
    parent = parent,
    budget = parent and parent.budget, -- what limits its tasks, see limits.lua
    first = nil,
    last = nil,
    count = 0, -- children alive
    waited = 0, -- of these, the ones that are not background
    cancelled = nil, -- reason
    errors = nil,
  }, Scope)
end

--- A scope without an owner: the runtime's root.
function M.root()
  return new(nil, nil)
end

-- Wait for the children; ends when they have, cancelled or not.
local CHILDREN = {
  reason = "resource",
  stubborn = true,
  abort = function()
    return false
  end,
  detail = function(task)
    local scope = task.on
    return "the end of "
      .. scope.count
      .. (scope.count == 1 and " task" or " tasks")
      .. " of its scope"
  end,
  many = true,
  blockers = function(task)
    local list, child = {}, task.on.first
    while child do
      list[#list + 1], child = child, child.next
    end
    return list
  end,
}
M.CHILDREN = CHILDREN

-- A failure that nobody has heard of: the scope fails.
local function fail(scope, task)
  local errors = scope.errors or {}
  scope.errors = errors
  errors[#errors + 1] = task.on
  scope:cancel("a task failed")
end
M.fail = fail

-- `local t = task.spawn(f) ... t:join()`: a preemption in between must not turn the failure of `t` into one
-- that nobody hears. So it is judged when the tasks that stood aside then have had their turn.
-- In order of failing, at deferred[first] to deferred[last]: {task=, number= of the last preemption before}.
local deferred, first, last = {}, 1, 0

local function judge_one(each)
  if not each.judged then
    each.judged = true
    local home = each.task.home
    home.deferred = home.deferred - 1
    each.task.deferred = nil
    if not each.heard then
      fail(home, each.task)
    end
  end
end

local function judge()
  local oldest = kernel.oldest_aside()
  while first <= last and deferred[first].number < oldest do
    local each = deferred[first]
    deferred[first] = nil
    first = first + 1
    judge_one(each)
  end
  if first > last then
    first, last = 1, 0
    kernel.set_judge(nil)
  end
end

local function defer(task, number)
  local each = { task = task, number = number }
  last = last + 1
  deferred[last], task.deferred = each, each
  task.home.deferred = (task.home.deferred or 0) + 1
  kernel.set_judge(judge)
end

-- The scope ends: what happened in it is judged now.
local function judge_scope(scope)
  if (scope.deferred or 0) == 0 then
    return
  end
  for i = first, last do
    if deferred[i].task.home == scope then
      judge_one(deferred[i])
    end
  end
end

-- Rejections of promises that nobody has heard of by the end of their scope are its failures.
local function judge_rejections(scope)
  local errors = scope.errors or {}
  local failures = M.rejections(scope.rejected) -- set by deferred.lua
  scope.rejected = nil
  for i = 1, #failures do
    errors[#errors + 1] = failures[i]
  end
  scope.errors = errors[1] and errors
end

--- Somebody joins a task that has ended: he hears of its failure.
function M.hear(task)
  if task.deferred then
    task.deferred.heard = true
  end
end

-- A child has ended: tell who waits for it, and see whether the scope may end.
local function ended(task)
  local scope = task.home
  local before, after = task.prev, task.next
  if before then
    before.next, task.prev = after, nil
  else
    scope.first = after
  end
  if after then
    after.prev, task.next = before, nil
  else
    scope.last = before
  end
  scope.count = scope.count - 1
  if scope.budget then
    kernel.count_task(scope, -1)
  end
  local waited = scope.waited
  if not task.background then
    waited = waited - 1
    scope.waited = waited
  end
  local state = task.state
  local heard = false
  if task.joiners then
    local trouble
    heard, trouble = wake_joiners(task)
    if trouble ~= nil then
      local text = "stack traceback:\n\tat the end of " .. tostring(task)
      fail(scope, { on = { value = trouble, traceback = text, task = task } })
    end
  end
  if state ~= "done" or task.watched then
    if task.doomed then
      kernel.add_cancels(-1)
    end
    if task.watched then
      M.on_watched_end(task, heard)
    elseif state == "cancelled" then
      scope.cut = true
    elseif not heard then
      local number = kernel.last_aside()
      if number then
        defer(task, number)
      else
        fail(scope, task)
      end
    end
  elseif cancelling() and task.doomed then
    kernel.add_cancels(-1)
  end
  if waited == 0 then
    local owner = scope.owner
    if
      owner
      and owner.wait == CHILDREN
      and owner.on == scope
      and (scope.count == 0 or not scope.cancelled)
    then
      reschedule(owner)
    end
  end
end

local BACKGROUND_ONLY = "only background tasks were left"

local function wait_children(scope)
  while scope.waited > 0 do
    park(CHILDREN, scope)
  end
  if scope.count > 0 then
    scope:cancel(BACKGROUND_ONLY)
    while scope.count > 0 do
      park(CHILDREN, scope)
    end
  end
end

-- So many objects end with their scope at once; the others a little later (backlog.lua).
local PIECE = 1000

-- What is tied to a scope that has ended ends: see lifetime.lua.
local function let_go(tied)
  for _ = 1, PIECE do
    local tie = tied:pop()
    if not tie then
      return
    end
    tie:fire()
  end
  put_off(let_go, tied)
end

local function close(scope, task)
  scope.closed = true
  if scope.co then
    count.nested = count.nested - 1
  end
  if scope.timer then
    timers.disarm(scope)
  end
  local budget = scope.budget
  while budget and budget.scope == scope do
    if budget.timer then
      timers.disarm(budget)
    end
    budget = budget.outer
  end
  if scope.cancelled then
    kernel.add_cancels(-1)
  end
  if scope.killed then
    kills = kills - 1
    if kills == 0 then
      kernel.set_forsaken(nil)
    end
    kernel.forget_soon()
  end
  local parent = scope.parent
  task.inner = parent ~= task.home and parent or nil
  if scope.tied then
    let_go(scope.tied)
  end
end

-- A coroutine of the script's own opened a scope, yielded inside it and was never resumed: the scope
-- around it (or the task's end) winds the abandoned one up. `outer` nil means all.
local function wind_up(task, outer)
  while task.inner and task.inner ~= outer do
    local scope = task.inner
    scope:cancel("its coroutine was abandoned")
    wait_children(scope)
    if scope.rejected then
      judge_rejections(scope)
    end
    close(scope, task)
  end
end

-- The task's guard has failed: nobody can wait for children any more.
local function forget_scopes(task)
  local scope = task.inner or task.own
  while scope and scope ~= task.home do
    if not scope.closed then
      close(scope, task)
    end
    scope = scope.parent
  end
  task.inner = nil
end

--- Coroutine `co` has yielded to the script: did it leave a scope open that it had opened? Such a scope is
-- wound up, for nobody could say what its deadline or its children belong to (trio forbids the same).
---@return boolean left
---@return table|nil failure of a child
function M.left_open(co)
  local task = kernel.current()
  local scope = task and task.inner
  if not scope or scope.co ~= co then
    return false
  end
  local errors = {}
  while task.inner and task.inner.co == co do
    local inner = task.inner
    wind_up(task, inner.parent ~= task.home and inner.parent or nil)
    for _, each in ipairs(inner.errors or {}) do
      errors[#errors + 1] = each
    end
  end
  return true, errors[1] and failure.combine(errors)
end

-- What the scope's end means for its owner.
local function leave(scope, task, ok, ...)
  if scope.closed or kernel.current() ~= task then
    scope:cancel("left out of order")
    error(
      "a scope must end in the task and in the order in which it began (was a coroutine with an "
        .. "open scope resumed elsewhere?)",
      0
    )
  end
  wind_up(task, scope)
  local failed
  if not ok and rawequal((...), CANCEL) and is_cancelled(task) then
    scope.cut = true
    if scope.whole then -- now: its children may wait for what it holds
      cut_off(task)
    end
  elseif not ok then
    failed = failure.capture((...), task)
    if task.watched and scope == task.own then
      kernel.tell(task, failed) -- methods of the script run: its limits still hold here
    end
    scope:cancel("its body failed")
  elseif kernel.limited and task.watched and scope == task.own then
    kernel.reserve_copies(...) -- its results go to Python
  end
  judge_scope(scope)
  if scope.count > 0 then
    wait_children(scope)
  end
  judge_scope(scope)
  if scope.rejected then
    judge_rejections(scope)
  end
  kernel.book(task)
  close(scope, task)
  if scope.exceeded then
    if kernel.cancelling() then
      check(task)
    end
    return nil, scope.exceeded
  end
  local background_only = scope.cancelled == BACKGROUND_ONLY

  local errors = scope.errors
  if failed or errors then
    errors = errors or {}
    if failed then
      insert(errors, 1, failed)
    end
    local all = failure.combine(errors)
    remember(task, all)
    error(all.value, 0)
  end
  if kernel.cancelling() and (not ok or scope.cut) then
    check(task)
  end
  if ok and (not scope.cut or background_only or not scope.cancelled) then
    return ...
  end
  if ok and scope.cancelled ~= "timeout" then
    return ...
  end
  return nil, scope.cancelled or "cancelled"
end

kernel.connect({
  ended = ended,
  wind_up = wind_up,
  forget_scopes = forget_scopes,
  leave = leave,
  is_cancelled = is_cancelled,
  check = check,
})

local function begin(scope, task, deadline)
  task.inner = scope
  if deadline and deadline > now() then
    timers.arm(scope, deadline)
  elseif deadline then
    scope:cancel("timeout")
  end
end

--- Put a task that has not started into a scope of its own, which ends with it: as `run` around its body,
-- without a frame on its stack.
---@param budget table|nil what limits it, see limits.lua
---@param caller table|nil the task whose host call calls it back: it shares its limits
function M.enclose(task, deadline, budget, caller)
  local own = new(task, task.home)
  task.own = own
  own.caller = caller
  if budget then
    own.budget, budget.scope = budget, own
  elseif caller then
    own.budget = (caller.inner or caller.home).budget
  end
  begin(own, task, deadline)
  return own
end

local function run(scope, task, fn, ...)
  return leave(scope, task, xpcall(fn, handler, ...))
end

--- Run `fn(scope?, ...)` in a new scope of the running task and wait for its children.
---@param options table {deadline=, shield=, passed=, whole=, budget=, begin=} passed: fn gets the scope as
--   first argument; whole: it is all the work of the task; begin: function(budget), starts it
---@param fn function
---@return any ... fn's values; nil and the reason when the scope itself was cancelled
function M.run(options, fn, ...)
  local task = kernel.current()
  if not task then
    error("cannot open a scope outside a task", 3)
  end
  kernel.check_place() -- its end may have to wait
  local scope = new(task, task.inner or task.home)
  local co = running()
  if co ~= task.co then
    scope.co = co
    count.nested = count.nested + 1
  end
  if options.shield then
    scope.shield = true
  elseif options.whole then
    scope.whole = true
  elseif options.budget then
    kernel.book(task) -- what was used so far is not this one's
    scope.budget = options.budget
    scope.budget.scope = scope
    options.begin(scope.budget)
  end
  begin(scope, task, options.deadline)
  if options.passed then
    return run(scope, task, fn, scope, ...)
  end
  return run(scope, task, fn, ...)
end

--- The scope in which the running task would spawn.
function M.current()
  local task = kernel.current()
  return task and (task.inner or task.home)
end

return M
