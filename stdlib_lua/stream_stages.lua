--- Stages of a stream that need no task of their own: they work when the next value is asked for.
--
-- A preemption may come between any two instructions here: what they do may take as long as a script wants.

local kernel = require("kernel")
local failure = require("failure")
local core = require("stream_core")

local current = kernel.current
local CANCEL, handler, capture = failure.CANCEL, failure.handler, failure.capture
local close, shut_source, step, over = core.close, core.shut_source, core.step, core.over
local xpcall, error, rawequal = xpcall, error, rawequal

local M = {}

local function stage(source, step_fn, fields)
  fields.source, fields.step, fields.shut = core.take_over(source), step_fn, shut_source
  return core.new(fields)
end

local function map_step(self)
  local more, value = step(self.source)
  if more then
    return true, (self.fn(value))
  end
  return false
end

function M.map(source, fn)
  return stage(source, map_step, { fn = fn })
end

local function filter_step(self)
  local source, fn = self.source, self.fn
  local more, value = step(source)
  while more do
    if fn(value) then
      return true, value
    end
    more, value = step(source)
  end
  return false
end

function M.filter(source, fn)
  return stage(source, filter_step, { fn = fn })
end

local function take_step(self)
  if self.left == 0 then
    return false
  end
  local more, value = step(self.source)
  if more then
    self.left = self.left - 1
    if self.left == 0 then
      close(self.source) -- now, and not when somebody asks for one more
    end
  end
  return more, value
end

function M.take(source, n)
  return stage(source, take_step, { left = n })
end

local function gather(self)
  local source, batch, size = self.source, self.gathered, self.size
  while batch.n < size do
    local more, value = step(source)
    if not more then
      break
    end
    local n = batch.n + 1
    batch[n], batch.n = value, n
  end
end

-- What came before an error comes before it, and a batch that a cancellation cuts off is filled up by the
-- next step.
local function batch_step(self)
  if not self.failed then
    self.gathered = self.gathered or { n = 0 }
    local ok, raised = xpcall(gather, handler, self)
    if not ok and rawequal(raised, CANCEL) then
      error(CANCEL, 0)
    elseif not ok then
      self.failed = capture(raised, current())
    end
  end
  local batch = self.gathered
  self.gathered = nil
  if batch and batch.n > 0 then
    return true, batch
  end
  return over(self)
end

function M.batch(source, size)
  return stage(source, batch_step, { size = size })
end

return M
