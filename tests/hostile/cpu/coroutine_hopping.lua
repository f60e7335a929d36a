-- what: each millisecond goes on in another fresh coroutine, three deep
-- expect: exit=4 limit=cpu
local function burn()
  for _ = 1, 20000 do
  end
end
local function hop(depth)
  if depth == 0 then
    return burn()
  end
  coroutine.wrap(hop)(depth - 1)
  burn()
end
while true do
  hop(3)
end
