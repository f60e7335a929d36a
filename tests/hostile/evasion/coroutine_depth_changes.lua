-- what: go down a hundred coroutines, compute a little, come back, for ever
-- expect: exit=4 limit=cpu
local function nest(depth)
  for _ = 1, 2000 do
  end
  if depth > 0 then
    pcall(coroutine.wrap(nest), depth - 1)
  end
end
while true do
  nest(100)
end
