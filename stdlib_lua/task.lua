--- The script's `task` library: spawn, join, scopes, timeouts. (all, race and map: combinators.lua.)
--
-- Belongs here: what can be said with the kernel's and the scope's few functions.

local kernel = require("kernel")
local scope = require("scope")
local failure = require("failure")
local joiners = require("joiners")
local listing = require("listing")
local select_library = require("select")
local classes = require("classes").by_name

local enter, park, now, spawn = kernel.enter, kernel.park, kernel.now, kernel.spawn
local pack, unpack = kernel.pack, kernel.unpack
local check_callable, bad_argument = failure.check_callable, failure.bad_argument
local check_seconds, printable = failure.check_seconds, failure.printable
local getmetatable, type, error, pairs, select = getmetatable, type, error, pairs, select
local tostring, rawget, concat = tostring, rawget, table.concat

local Task, Scope = kernel.Task, scope.Scope
Task.__name = "task"
Task.name = "task" -- of tasks without a name of their own

local M = {}

local function is_task(value)
  return getmetatable(value) == Task
end
M.is_task = is_task

-- "task 3" or "task 3 'worker'", for messages.
local function label(task)
  if rawget(task, "name") then
    return "task " .. task.id .. " '" .. printable(task.name .. "") .. "'"
  end
  return "task " .. task.id
end
M.label = label
Task.__tostring = label

-- ---------------------------------------------------------------------------------------------
-- Spawning

local COPIED = 1000 -- entries of a storage copied before somebody asks about memory

local recording = false -- note the spawn site: costs a look at the stack for each spawn

-- A copy; a large one is counted while it is made.
local function copy_of(storage)
  local copy = {}
  local left = COPIED
  for key, value in pairs(storage) do
    copy[key] = value
    left = left - 1
    if left == 0 then
      left = COPIED
      kernel.reserve(COPIED * 40) -- bytes of an entry, at least
    end
  end
  return copy
end

-- What a child gets from the task that spawns it.
local function inherit(parent)
  local storage = parent and parent.storage
  return storage and copy_of(storage), recording and failure.line_of(nil, 3) or nil
end

--- With statistics on, remember where each task was spawned.
function M.set_recording(on)
  recording = on
  kernel.set_inherit(inherit)
end

local function check_open(home)
  if home.closed then
    error("cannot spawn in a scope that has ended", 3)
  end
end

local OPTIONS = {
  name = "string",
  priority = "string",
  timeout = "number",
  background = "boolean",
  limits = "table",
}

local function check_options(options, name)
  if type(options) ~= "table" then
    bad_argument(1, name, "table of options expected, got " .. type(options), 2)
  end
  for key, value in pairs(options) do
    local expected = OPTIONS[key]
    if not expected then
      bad_argument(
        1,
        name,
        "unknown option '"
          .. tostring(key)
          .. "'; known are name, priority, timeout, background, limits",
        2
      )
    elseif type(value) ~= expected then
      bad_argument(
        1,
        name,
        "option '" .. key .. "' must be a " .. expected .. ", got " .. type(value),
        2
      )
    end
  end
  local priority = options.priority
  if priority and priority ~= "normal" and not classes[priority] then
    bad_argument(
      1,
      name,
      'option \'priority\' must be "high", "normal" or "low", got "' .. priority .. '"',
      2
    )
  end
end

local function with_timeout(seconds, fn)
  return function(...)
    return scope.run({ deadline = now() + seconds, whole = true }, fn, ...)
  end
end

local function spawn_with(home, options, fn, ...)
  check_options(options, "spawn_with")
  check_callable(2, "spawn_with", fn)
  if options.timeout then
    check_seconds(1, "spawn_with", options.timeout)
    fn = with_timeout(options.timeout, fn)
  end
  if options.limits then
    fn = M.with_limits(options.limits, fn)
  end
  return spawn(home, fn, select("#", ...) > 0 and pack(...) or nil, {
    name = options.name,
    class = classes[options.priority],
    background = options.background,
  })
end

--- Spawn a child of the current scope; it starts in the next round. Not a checkpoint.
---@param fn function
---@param ... any its arguments
---@return table task
function M.spawn(fn, ...)
  if type(fn) ~= "function" then
    check_callable(1, "spawn", fn)
  end
  return spawn(nil, fn, select("#", ...) > 0 and pack(...) or nil)
end

--- `spawn` with options. A background task is cancelled when its scope's other work has ended.
---@param options table {name=string, priority="high"|"normal"|"low", timeout=seconds, background=boolean,
--   limits=table}
---@param fn function
---@return table task
function M.spawn_with(options, fn, ...)
  return spawn_with(nil, options, fn, ...)
end

--- Spawn a child of this scope, whichever scope is the current one.
function Scope:spawn(fn, ...)
  if type(fn) ~= "function" then
    check_callable(1, "spawn", fn)
  end
  check_open(self)
  return spawn(self, fn, select("#", ...) > 0 and pack(...) or nil)
end

function Scope:spawn_with(options, fn, ...)
  check_open(self)
  return spawn_with(self, options, fn, ...)
end

-- ---------------------------------------------------------------------------------------------
-- Waiting

local SLEEP = {
  reason = "sleep",
  abort = function()
    return true -- the timer goes with the wait
  end,
  expire = function(task)
    return now() - task.on
  end,
  detail = function()
    return "its time to wake"
  end,
}

local function yielded(began)
  kernel.yield()
  return now() - began
end

--- Sleep; 0 yields. A checkpoint.
---@param seconds number not negative
---@return number slept seconds really slept
function M.sleep(seconds)
  if type(seconds) ~= "number" or not (seconds > 0) then
    check_seconds(1, "sleep", seconds)
    return yielded(now())
  end
  local began = now()
  return park(SLEEP, began, began + seconds)
end

--- Let other tasks run; a cooperative yield and a checkpoint.
M.yield = kernel.yield

local JOIN -- the kind of a join's wait

-- `task`, the task it joins, the one that joins, ...
local function join_chain(task)
  local link
  return function()
    if not link then
      link = task
    else
      link = link.wait == JOIN and link.on or nil
    end
    return link
  end
end

-- Raise if waiting for `target` would never end, because it waits (through whom ever) for `task`.
local function check_cycle(task, target)
  local link = target
  while link do
    -- A task waits for everything in the scopes it owns, so also for each descendant there, and for the
    -- Lua functions that its host call calls back.
    local ancestor = task
    while ancestor do
      if ancestor == link then
        if target == task then
          error(label(task) .. " cannot join itself", 4)
        end
        local path = {}
        for each in join_chain(target) do
          path[#path + 1] = label(each)
        end
        error(
          label(task)
            .. " cannot join: it would wait for itself ("
            .. concat(path, " waits for ")
            .. ")",
          4
        )
      end
      ancestor = ancestor.home.owner or ancestor.caller
    end
    link = link.wait == JOIN and link.on or nil
  end
end

local MAX_REASON = 1000

-- The outcome of an ended task: its values, or its error raised again.
local function outcome(task)
  if task.state == "done" then
    local values = task.on
    if values then
      return unpack(values, 1, values.n)
    end
    return
  end
  if task.state == "cancelled" then
    error(
      failure.new(
        "cancelled",
        label(task)
          .. " was cancelled"
          .. (task.reason and ": " .. printable(task.reason .. "", MAX_REASON) or "")
      ),
      0
    )
  end
  failure.remember(kernel.current(), task.on)
  error(task.on.value, 0)
end

JOIN = joiners.kind(outcome, check_cycle)

select_library.offer(Task, "join", {
  check = function(task)
    return task == kernel.current() and "a task cannot wait for its own end" or nil
  end,
  try = function(task)
    if task.state then
      scope.hear(task)
      return true, task
    end
    return false
  end,
  add = function(case)
    joiners.add(case.object, case)
  end,
  remove = function(case)
    joiners.remove(case.object, case)
  end,
  finish = outcome,
  detail = function(task)
    return "the end of " .. label(task)
  end,
})

--- Wait for the task's end. A checkpoint.
---@return any ... its values; its error is raised
function Task:join()
  if not is_task(self) then
    bad_argument(1, "join", "task expected, got " .. type(self))
  end
  if self.state then
    enter()
    scope.hear(self)
    kernel.yield()
    return outcome(self)
  end
  return park(JOIN, self)
end

-- ---------------------------------------------------------------------------------------------
-- Cancelling one task

--- Cancel the task and everything it owns. Not a checkpoint.
---@param reason string|nil
---@return boolean false when it has ended
function Task:cancel(reason)
  if not is_task(self) then
    bad_argument(1, "cancel", "task expected, got " .. type(self))
  end
  if self.state then
    return false
  end
  self.reason = self.reason or reason
  scope.cancel_task(self, reason)
  return true
end

--- "ready", "running", "sleeping", "blocked", "done", "failed" or "cancelled".
---@return string
function Task:status()
  if self.state then
    return self.state
  end
  local wait = self.wait
  if wait then
    return wait.reason == "sleep" and "sleeping" or "blocked"
  end
  return kernel.current() == self and "running" or "ready"
end

--- What is known about the task.
---@return table {id, name, status, reason, detail, where, site, yields, run_time}
function Task:info()
  local wait = self.wait
  return {
    id = self.id,
    name = self.name,
    status = self:status(),
    reason = wait and wait.reason or nil,
    detail = wait and wait.detail(self) or nil,
    where = not self.state and failure.line_of_task(self) or nil,
    site = failure.site_of(self),
    background = self.background or false,
    yields = self.yields,
    run_time = self.run_time,
  }
end

-- ---------------------------------------------------------------------------------------------
-- Scopes

--- Run `fn(scope)` as a nursery: returns when all its children have ended. A checkpoint.
-- The first failure cancels the rest and is raised; several are raised together.
---@param fn function
---@return any ... fn's values, or nil, reason after scope:cancel(reason) cut fn short
function M.scope(fn)
  check_callable(1, "scope", fn)
  return scope.run({ passed = true }, fn)
end

--- Run `fn(...)`; after `seconds` everything inside is cancelled. A checkpoint.
---@param seconds number
---@return any ... fn's values, or nil, "timeout"
function M.timeout(seconds, fn, ...)
  check_seconds(1, "timeout", seconds)
  check_callable(2, "timeout", fn)
  return scope.run({ deadline = now() + seconds }, fn, ...)
end

--- Run `fn(...)` so that it may wait although the task is cancelled: for cleanup.
function M.shield(fn, ...)
  check_callable(1, "shield", fn)
  return scope.run({ shield = true }, fn, ...)
end

-- ---------------------------------------------------------------------------------------------
-- Looking around

--- The running task.
M.current = kernel.current

--- All live tasks by id.
M.list = listing.all

--- Seconds on the runtime's clock (monotonic; virtual with a virtual clock). Not a checkpoint.
M.now = now

--- The task's own table; children start with a copy of it.
---@return table
function M.local_storage()
  local task = kernel.current()
  if not task then
    error("cannot use local_storage outside a task", 2)
  end
  local storage = task.storage
  if not storage then
    storage = {}
    task.storage = storage
    kernel.set_inherit(inherit)
  end
  return storage
end

-- What scripts see; the rest is for our other files.
M.public = {
  current = M.current,
  list = M.list,
  local_storage = M.local_storage,
  now = M.now,
  scope = M.scope,
  select = select_library.select,
  shield = M.shield,
  sleep = M.sleep,
  spawn = M.spawn,
  spawn_with = M.spawn_with,
  timeout = M.timeout,
  yield = M.yield,
}

return M
