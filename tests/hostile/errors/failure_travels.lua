-- what: one error through a chain of a thousand joins
-- expect: exit=1 stderr=origin
local function relay(n)
  if n == 0 then
    error("origin", 0)
  end
  return task.spawn(relay, n - 1):join()
end
relay(1000)
