-- what: switch the debug hook off
-- expect: exit=4 limit=cpu
while true do
  pcall(function()
    debug.sethook()
    debug.sethook(coroutine.running())
  end)
end
