-- A pipeline of streams: each stage works only as fast as the one behind it, up to the source.
-- Run: python -m scheduler --virtual-clock examples/13_pipeline_with_backpressure.lua

local stream = require("stream")

local function say(...)
  print(("%4.1f s "):format(task.now()) .. string.format(...))
end

-- An endless source that counts what it was asked for.
local asked = 0
local function sensor()
  asked = asked + 1
  task.sleep(0.1)
  return asked
end

local working, most = 0, 0
local function analyse(x)
  working = working + 1
  most = math.max(most, working)
  task.sleep(1)
  working = working - 1
  return { number = x, odd = x % 2 == 1 }
end

-- Ten values a second come in, each takes a second of work: with four at a time it is four a second.
local reports = stream
  .of(sensor)
  :map(analyse, { concurrency = 4 })
  :filter(function(result)
    return result.odd
  end)
  :map(function(result)
    return result.number
  end)
  :batch(3, 1.5)

for report in reports:iter() do
  say("report of %s", table.concat(report, " "))
  if report[report.n] > 12 then
    break
  end
end
say("asked for %d values, at most %d in work", asked, most)

-- A slow reader: the source stands still.
task.sleep(20)
say("asked for %d values", asked)

-- Closing ends the tasks of the stages and the source.
reports:close()
task.sleep(1)
say("%d in work, %d tasks", working, #task.list())

-- An error comes out once, where the stream is read, after what came before it.
local risky = stream
  .of({ 1, 2, 0, 4 })
  :map(function(x)
    task.sleep(1)
    if x == 0 then
      error("cannot divide by it", 0)
    end
    return 12 / x
  end)
  :buffer(2)
print(pcall(risky.each, risky, function(x)
  say("%g", x)
end))
