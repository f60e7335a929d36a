-- what: keep tracebacks
-- expect: exit=4 limit=memory
local kept = {}
while true do
  kept[#kept + 1] = debug.traceback(("x"):rep(5000) .. #kept)
end
