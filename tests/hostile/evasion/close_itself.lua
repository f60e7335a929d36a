-- what: a coroutine that closes itself, and then a loop: it counted as running for ever
-- expect: exit=4 limit=cpu
-- engines: lua55
coroutine.wrap(function()
  coroutine.close()
end)()
while true do
end
