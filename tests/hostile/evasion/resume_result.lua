-- what: look whether resume returns after the kill
-- expect: exit=4 limit=cpu
local co = coroutine.create(function()
  while true do
  end
end)
print("ESCAPED: resume returned", coroutine.resume(co))
