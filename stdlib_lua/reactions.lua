--- Reactions: handlers of promises that are ready to run, and the tasks that run them, in order.
--
-- Belongs here: when and in which task a handler runs. What it gets and what becomes of its value:
-- deferred.lua. Each scope has a queue of its own, so that limits, timeouts and cancellation hold.
--
-- A task for each handler would cost several times the handler. So runners take one reaction after the
-- other. A handler may wait, and those behind it must not: before a runner enters a handler there is
-- another one, on its way or between two handlers, if there is more to do. It ends when it finds
-- nothing.

local kernel = require("kernel")
local scope_library = require("scope")
local put_off = require("backlog").put_off

local spawn, current, yield, cancelling =
  kernel.spawn, kernel.current, kernel.yield, kernel.cancelling
local is_cancelled, check = scope_library.is_cancelled, scope_library.check
local setmetatable, pcall = setmetatable, pcall

local M = {}

local run, cut, cut_each -- set by resolution.lua

--- Let deferred.lua in: it is written on top of this file.
---@param hooks table
--   run  function(queue, runner, promise, source) -> promise, source: calls the handler and settles; may
--     return what is ready next instead of adding it, when that would be alone in this queue
--   cut  function(promise): the handler was cancelled in the middle
--   cut_each  function(take, queue, most): so many of them were before they began
function M.connect(hooks)
  run, cut, cut_each = hooks.run, hooks.cut, hooks.cut_each
end

-- Handlers that are cut in one go (backlog.lua).
local PIECE = 2000

-- Reactions that a runner takes before the others of the runtime have their turn.
local BATCH = 100

local OPTIONS = { name = "promise handlers" }

-- A queue joins its runners: it learns how each ended. Their failures are none of its business: quiet.
local Queue = { quiet = true }
Queue.__index = Queue

-- A window that slides over a table for ever would live in its hash part (10x slower on LuaJIT).
local function move_down(queue, head, tail)
  local sources, count = queue.sources, tail - head + 1
  for i = 1, count do
    queue[i], sources[i] = queue[head + i - 1], sources[head + i - 1]
  end
  for i = count + 1, tail do
    queue[i], sources[i] = nil, nil
  end
  queue.head, queue.tail = 1, count
end

local function put(queue, promise, source)
  local tail = queue.tail + 1
  queue.tail = tail
  queue[tail], queue.sources[tail] = promise, source
end

local function take(queue)
  local head, tail, sources = queue.head, queue.tail, queue.sources
  local promise, source = queue[head], sources[head]
  queue[head], sources[head] = nil, nil
  if head < tail then
    queue.head = head + 1
    if head > 32 and head * 2 > tail then
      move_down(queue, head + 1, tail)
    end
  else
    queue.head, queue.tail = 1, 0
  end
  return promise, source
end

local spawn_runner

-- A runner's body.
local function drain(queue)
  local me = current()
  me.reaction = false
  local left = BATCH
  local promise, source = take(queue)
  while promise do
    if cancelling() and is_cancelled(me) then
      put(queue, promise, source) -- to be cut
      check(me)
    end
    local free = queue.free
    if free == 1 and queue.tail > 0 then
      spawn_runner(queue)
      free = queue.free
    end
    queue.free = free - 1
    me.reaction = promise
    promise, source = run(queue, me, promise, source)
    me.reaction = false
    queue.free = queue.free + 1
    left = left - 1
    if left == 0 then
      if promise then
        put(queue, promise, source)
      end
      if queue.free > 1 then
        return
      end
      left = BATCH
      yield()
      promise = nil
    end
    if not promise then
      promise, source = take(queue)
    end
  end
end

-- The scope is cancelled, so that no runner can begin in it.
local cut_all
function cut_all(queue)
  queue.free = 1 -- what is cut may make more ready: no runner for that
  cut_each(take, queue, PIECE)
  if queue.tail > 0 then
    return put_off(cut_all, queue)
  end
  queue.free = 0
end

function spawn_runner(queue)
  queue.free = queue.free + 1
  local done, task = pcall(spawn, queue.scope, drain, queue.arguments, OPTIONS)
  if done then
    task.joiners, task.storage = queue, nil
  else
    -- A limit on tasks was passed, so the scope is being killed; whoever runs now will see it, if it is his.
    queue.free = queue.free - 1
    if queue.free == 0 then
      cut_all(queue)
    end
  end
end

--- A runner has ended.
function Queue:fire(runner)
  local promise = runner.reaction
  if promise then
    cut(promise)
  else
    self.free = self.free - 1
  end
  if self.tail > 0 and self.free == 0 then
    if promise == nil then
      cut_all(self) -- it never began
    else
      spawn_runner(self)
    end
  end
end

local function new_queue(scope)
  local queue = setmetatable({
    scope = scope,
    head = 1, -- promises whose handlers are ready are at head .. tail
    tail = 0,
    sources = {}, -- at the same places the promises that were settled
    free = 0, -- runners that are not inside a handler
    arguments = nil,
  }, Queue)
  queue.arguments = { queue, n = 1 }
  scope.reactions = queue
  return queue
end

--- The scope in which what belongs to `scope` happens: itself, the next one around it that is open, or, when
-- its script has ended, the running task's.
---@return table scope
function M.open(scope)
  while scope.closed do
    scope = scope.parent
  end
  return scope.parent and scope or scope_library.current() or scope
end
local open = M.open

--- The handler of `promise` is ready: it runs in its scope, after those that were ready before.
---@param source table the settled promise it was made for
function M.add(promise, source)
  local scope = promise.scope
  if scope.closed then
    scope = open(scope)
    promise.scope = scope
  end
  local queue = scope.reactions or new_queue(scope)
  put(queue, promise, source)
  if queue.free == 0 then
    spawn_runner(queue)
  end
end

--- The runner that is inside the handler of `promise`, if one is.
---@return table|nil task
function M.runner_of(promise)
  local child = promise.scope.first
  while child do
    if child.reaction == promise then
      return child
    end
    child = child.next
  end
end

return M
