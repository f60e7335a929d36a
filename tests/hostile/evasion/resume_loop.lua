-- what: the kill lands in a coroutine, its resumer goes on
-- expect: exit=4 limit=cpu
while true do
  coroutine.resume(coroutine.create(function()
    while true do
    end
  end))
end
