-- Producers and consumers: a bounded channel between them, and who waits for whom.
-- Run: python -m scheduler --virtual-clock examples/12_producer_consumer.lua

local function say(...)
  print(("%4.1f s "):format(task.now()) .. string.format(...))
end

local jobs = channel.new(2, "jobs") -- two may lie there, then producers wait
local results = channel.new(0, "results") -- handed over when both sides are there

local function producer(name, amount)
  for i = 1, amount do
    local job = name .. i
    if not jobs:try_send(job) then
      say("%s waits: the channel is full", name)
      jobs:send(job)
    end
  end
  say("%s has no more", name)
end

local function consumer(name)
  local done = 0
  for job in jobs:iter() do -- until it is closed and empty
    task.sleep(1)
    done = done + 1
    results:send(name .. " did " .. job)
  end
  return name, done
end

task.scope(function(scope)
  local consumers = {}
  for i = 1, 2 do
    consumers[i] = scope:spawn(consumer, "consumer " .. i)
  end
  -- Who closes a channel is the side that sends, when its last producer has ended.
  scope:spawn(function()
    task.scope(function(producers)
      producers:spawn(producer, "a", 3)
      producers:spawn(producer, "b", 3)
    end)
    jobs:close()
  end)
  scope:spawn(function()
    for _ = 1, 6 do
      local line = results:receive()
      say("%s", line)
    end
  end)
  for i = 1, 2 do
    local name, done = consumers[i]:join()
    say("%s: %d jobs", name, done)
  end
end)

-- A sender that gives up takes its value along.
local box = channel.new(1)
box:send("first")
print(task.timeout(1, box.send, box, "never mind"))
print(box:receive(), box:try_receive())
