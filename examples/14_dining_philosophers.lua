-- Five philosophers, five forks, two needed to eat: with an order among the forks nobody starves. Each fork
-- is a mutex; `with` lays it down again, also when a philosopher is called away in the middle of his meal.
-- Run: python -m scheduler --virtual-clock examples/14_dining_philosophers.lua

local names = { "Plato", "Kant", "Hume", "Marx", "Weil" }
local forks = {}
for i = 1, #names do
  forks[i] = sync.mutex("fork " .. i)
end

local function dine(seat)
  local left, right = seat, seat % #names + 1
  -- The lower number first, for all of them: whoever waits for a fork holds none with a higher number, so
  -- the waits cannot form a circle.
  local first, second = forks[math.min(left, right)], forks[math.max(left, right)]
  for meal = 1, 2 do
    first:with(function()
      second:with(function()
        print(("%4.1f  %s eats meal %d"):format(task.now(), names[seat], meal))
        task.sleep(1)
      end)
    end)
    task.sleep(0.5) -- thinks
  end
end

task.scope(function(scope)
  for seat, name in ipairs(names) do
    scope:spawn_with({ name = name }, dine, seat)
  end
end)

-- One is called away while he eats, and the forks are free.
local late = task.spawn(function()
  forks[1]:with(function()
    forks[2]:with(task.sleep, 100)
  end)
end)
task.yield()
print("fork 1 is held: " .. tostring(forks[1]:statistics().locked))
late:cancel()
task.yield()
print("fork 1 is held: " .. tostring(forks[1]:statistics().locked))
