-- what: an endless loop inside a hundred nested coroutines
-- expect: exit=4 limit=cpu
local function nest(depth)
  while depth == 0 do
  end
  coroutine.wrap(nest)(depth - 1)
end
nest(100)
