-- what: flood stderr with warnings, where warn exists
-- expect: exit=4 limit=cpu
local say = warn or function() end
pcall(say, "@on")
while true do
  say("a warning that nobody wants to read")
end
