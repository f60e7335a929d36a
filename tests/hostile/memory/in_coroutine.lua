-- what: grow inside nested coroutines
-- expect: exit=4 limit=memory
local t = {}
local function grow(depth)
  if depth > 0 then
    return coroutine.wrap(grow)(depth - 1)
  end
  while true do
    t[#t + 1] = { {} }
  end
end
grow(20)
