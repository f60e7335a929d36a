-- what: an endless loop inside a coroutine
-- expect: exit=4 limit=cpu
coroutine.wrap(function()
  while true do
  end
end)()
