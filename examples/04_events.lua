-- Named events: wait for a name, emit values to everybody who waits for it now.
-- Run: python -m scheduler --virtual-clock examples/04_events.lua

for i = 1, 3 do
  task.spawn(function()
    local city, celsius = event.wait("forecast")
    print(("listener %d at %g s: %s %d C"):format(i, task.now(), city, celsius))
  end)
end

-- A wait may have an end; `nil, "timeout"` tells that nothing came.
task.spawn(function()
  print("impatient:", event.wait("forecast", 1))
end)

task.sleep(2)
print("woken: " .. event.emit("forecast", "Oslo", 4))

-- An event is not remembered: who waits later misses it.
print("woken: " .. event.emit("forecast", "Rome", 21))

-- Two tasks that answer each other.
task.spawn(function()
  for n = 1, 3 do
    event.wait("ping")
    print("ping " .. n)
    event.emit("pong")
  end
end)
task.yield() -- let it begin to wait
for _ = 1, 3 do
  event.emit("ping")
  event.wait("pong")
end
