--- Stages of a stream that have tasks: what they read comes while their reader does something else.
--
-- Such a stage has one task, the pump, spawned when the first value is asked for: in the background of the
-- scope where the reader is, so it ends with that scope. The pump reads the sources, works, and sends to a
-- channel, which holds it back (the loops: stream_work.lua). However the pump ends, its channel is closed
-- and its sources are.

local kernel = require("kernel")
local failure = require("failure")
local lifetime = require("lifetime")
local scope = require("scope")
local channel = require("channel")
local core = require("stream_core")
local pumping = require("stream_work")
local select = require("select").select

local spawn, pack, current, now = kernel.spawn, kernel.pack, kernel.current, kernel.now
local cancelling = kernel.cancelling
local CANCEL, handler, capture = failure.CANCEL, failure.handler, failure.capture
local over = core.over
local xpcall, error, rawequal, infinity = xpcall, error, rawequal, math.huge
local Channel = channel.Channel
local receive, try_send, close = Channel.receive, Channel.try_send, core.close
local forward, spawn_forwarders, spawn_items =
  pumping.forward, pumping.spawn_forwarders, pumping.spawn_items

local M = {}

-- ---------------------------------------------------------------------------------------------
-- The pump

local function close_sources(stage, quiet)
  for i = 1, #stage.sources do
    close(stage.sources[i], quiet)
  end
end

local SHIELD = { shield = true }

local function pump(stage)
  stage.pumping = true
  local ok, raised = true, nil
  if not stage.stopped then
    ok, raised = xpcall(stage.work, handler, stage)
  end
  local cancelled = not ok and rawequal(raised, CANCEL)
  if not ok and not cancelled then
    stage.failed = capture(raised, current())
  end
  stage.out:close()
  -- May raise or wait, in an iterator's __close. If it raises, the scope fails. It may wait unless the
  -- reader was cancelled: that the stream was closed, or that only background tasks are left, is no reason.
  if cancelled and not stage.stopped then
    close_sources(stage)
  else
    scope.run(SHIELD, close_sources, stage)
  end
  if cancelled then
    error(CANCEL, 0)
  end
end

-- It may have been cancelled before it began, or been killed.
local function on_pump_end(tied)
  local stage = tied.stage
  stage.out:close()
  close_sources(stage, true)
end

local function pumped_step(stage)
  if not stage.out then
    stage.out = channel.new(stage.capacity, stage.title)
    stage.pump = spawn(nil, pump, pack(stage), { name = stage.title, background = true })
    lifetime.tie_to_task(stage.pump, { stage = stage }, on_pump_end)
  end
  local value, state = receive(stage.out)
  if state == nil then
    if stage.permits then
      stage.permits:try_receive()
    end
    return true, value
  end
  return over(stage)
end

-- Its pump and those before it, which are its children, are going to be cancelled for a good reason.
local function note_stopped(stage)
  if stage.stopped then
    return
  end
  stage.stopped = true
  if stage.source then
    note_stopped(stage.source)
  end
  for i = 1, stage.sources and #stage.sources or 0 do
    note_stopped(stage.sources[i])
  end
end

local function shut_pumped(stage, quiet)
  local task = stage.pump
  if not task then
    close_sources(stage, quiet)
  elseif not task.state then
    local closer = current()
    if not quiet and not (closer and cancelling() and scope.is_cancelled(closer)) then
      note_stopped(stage)
    end
    if stage.pumping or not stage.stopped then
      scope.cancel_task(task, "the stream was closed") -- it closes the sources when it has left them
    end -- else it has not begun, and only closes the sources
  end
end

local function stage_of(sources, title, capacity, work, fields)
  fields.sources, fields.title, fields.capacity, fields.work = sources, title, capacity, work
  fields.step, fields.shut = pumped_step, shut_pumped
  for i = 1, #sources do
    core.take_over(sources[i])
  end
  return core.new(fields)
end

-- ---------------------------------------------------------------------------------------------
-- buffer, merge

local function work_buffer(stage)
  forward(stage, stage.sources[1])
end

function M.buffer(source, size)
  return stage_of({ source }, "stream:buffer", size, work_buffer, {})
end

local function work_merge(stage)
  scope.run({}, spawn_forwarders, stage)
end

function M.merge(sources)
  return stage_of(sources, "stream:merge", 0, work_merge, {})
end

-- ---------------------------------------------------------------------------------------------
-- map with several at a time

local function NIL() end -- a result that is nil, in `results`

local function work_item(stage, index, value)
  local result = stage.fn(value)
  if not stage.ordered then
    try_send(stage.out, result) -- there is room: it was permitted
    return
  end
  local results = stage.results
  if result == nil then
    result = NIL
  end
  results[index] = result
  local first = stage.first
  while results[first] ~= nil do
    local ready = results[first]
    results[first] = nil
    if ready == NIL then
      ready = nil
    end
    try_send(stage.out, ready)
    first = first + 1
  end
  stage.first = first
end

local function work_map(stage)
  scope.run({}, spawn_items, stage, work_item)
end

function M.map(source, fn, concurrency, ordered)
  return stage_of({ source }, "stream:map", infinity, work_map, {
    fn = fn,
    ordered = ordered,
    permits = channel.new(concurrency, "stream:map"),
    results = {}, -- index -> result that those before it keep back
    first = 1,
  })
end

-- ---------------------------------------------------------------------------------------------
-- batch within a time

-- A batch that a cancellation cuts off is filled up by the next step, within the time it has left.
local function timed_batch_step(stage)
  local batch = stage.gathered
  if not batch then
    local more, value = pumped_step(stage)
    if not more then
      return false
    end
    batch = { value, n = 1 }
    stage.gathered, stage.ends = batch, now() + stage.seconds
  end
  while batch.n < stage.size do
    local left = stage.ends - now()
    local index, following, state =
      select({ { stage.out, "receive" }, timeout = left > 0 and left or 0 })
    if not index or state then
      break -- time is up, or it was the last one: an error is raised by the next step
    end
    local n = batch.n + 1
    batch[n], batch.n = following, n
  end
  stage.gathered = nil
  return true, batch
end

function M.batch(source, size, seconds)
  local fields = { size = size, seconds = seconds }
  local stage = stage_of({ source }, "stream:batch", 0, work_buffer, fields)
  stage.step = timed_batch_step
  return stage
end

return M
