-- what: a coroutine that resumes its resumer and itself
-- expect: exit=0 stdout=contained
local main = coroutine.running()
local co
co = coroutine.create(function()
  return coroutine.resume(main), coroutine.resume(co)
end)
local _, first, second = coroutine.resume(co)
print((first or second) and "ESCAPED: resumed what runs" or "contained")
