-- The same table without an order: everybody takes the left fork first, and waits for the right one for ever.
-- The report names who holds what, and the cycle.
-- Run: python -m scheduler --virtual-clock examples/15_deadlocked_philosophers.lua  (exit code 3)

local names = { "Plato", "Kant", "Hume", "Marx", "Weil" }
local forks = {}
for i = 1, #names do
  forks[i] = sync.mutex("fork " .. i)
end

local function dine(seat)
  local left, right = forks[seat], forks[seat % #names + 1]
  left:with(function()
    print(names[seat] .. " has the left fork")
    task.sleep(1)
    right:with(function()
      print(names[seat] .. " eats")
    end)
  end)
end

task.scope(function(scope)
  for seat, name in ipairs(names) do
    scope:spawn_with({ name = name }, dine, seat)
  end
end)
