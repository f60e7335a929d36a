-- A deadlock is reported, not suffered: two philosophers take the left fork first. When nobody can ever be
-- woken, the runtime says who waits for what and where, and the program ends with exit code 3.
-- Run: python -m scheduler --virtual-clock examples/10_deadlock.lua  (exit code 3)

local taken = {}

local function take(fork)
  while taken[fork] do
    event.wait("fork " .. fork .. " is free")
  end
  taken[fork] = true
end

local function put_back(fork)
  taken[fork] = nil
  event.emit("fork " .. fork .. " is free")
end

local function dine(name, left, right)
  take(left)
  print(name .. " has fork " .. left)
  task.sleep(1)
  take(right)
  print(name .. " eats")
  put_back(right)
  put_back(left)
end

-- The cure is an order: if both took fork 1 first, both would eat.
print("with an order:")
task.all({
  function()
    dine("Kant", 1, 2)
  end,
  function()
    dine("Hume", 1, 2)
  end,
})

print("without:")
task.scope(function(scope)
  scope:spawn_with({ name = "Kant" }, dine, "Kant", 1, 2)
  scope:spawn_with({ name = "Hume" }, dine, "Hume", 2, 1)
end)
