--- What the pumps of streams (stream_tasks.lua) do all day: read, and hand on.
--
-- A preemption may come between any two instructions here: a source may never wait, and what it is made of
-- may be functions written in C, which are not interrupted.

local kernel = require("kernel")
local Channel = require("channel").Channel
local core = require("stream_core")

local spawn, pack = kernel.spawn, kernel.pack
local send, step = Channel.send, core.step

local M = {}

--- Send everything that `source` gives to the stage's channel.
function M.forward(stage, source)
  local out = stage.out
  local more, value = step(source)
  while more do
    send(out, value)
    more, value = step(source)
  end
end

--- The same for each source, in tasks of their own.
function M.spawn_forwarders(stage)
  local sources = stage.sources
  for i = 1, #sources do
    spawn(nil, M.forward, pack(stage, sources[i]))
  end
end

--- A task of `work(stage, index, value)` for each value; waits while as many as allowed are in work or have
-- not been taken.
function M.spawn_items(stage, work)
  local index, permits, source = 0, stage.permits, stage.sources[1]
  send(permits, true)
  local more, value = step(source)
  while more do
    index = index + 1
    spawn(nil, work, pack(stage, index, value))
    send(permits, true)
    more, value = step(source)
  end
end

return M
