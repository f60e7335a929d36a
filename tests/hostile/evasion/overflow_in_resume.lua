-- what: a stack overflow inside coroutine.resume, caught, then a loop: levels of coroutines stayed wrong
-- expect: exit=4 limit=cpu
local co = coroutine.create(function() end)
coroutine.resume(co)
local resume, pcall = coroutine.resume, pcall
local deepest, at = 0, nil
local function deeper(n)
  deepest = n
  if at and n >= at then
    pcall(resume, co)
  end
  return 1 + deeper(n + 1)
end
pcall(deeper, 1)
at = deepest - 60
pcall(deeper, 1)
while true do
end
