-- what: a computation that would take years
-- expect: exit=4 limit=cpu
local function fib(n)
  return n < 2 and n or fib(n - 1) + fib(n - 2)
end
print(fib(90))
