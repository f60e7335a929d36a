-- what: generators that wrap generators
-- expect: exit=1 stderr=overflow
local function numbers()
  return coroutine.yield(1)
end
local function wrapped(inner)
  return coroutine.wrap(function()
    for x in inner do
      coroutine.yield(x)
    end
  end)
end
local generator = coroutine.wrap(numbers)
for _ = 1, 10000 do
  generator = wrapped(generator)
end
print(generator())
