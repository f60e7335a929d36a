-- what: a loop below 150 coroutines, a protected call at each level
-- expect: exit=4 limit=cpu
local function nest(depth)
  while depth == 0 do
  end
  while true do
    pcall(coroutine.wrap(nest), depth - 1)
  end
end
nest(150)
