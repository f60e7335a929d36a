-- what: compile large chunks for ever
-- expect: exit=4 limit=cpu|memory
local source = ("x = x + 1\n"):rep(100000)
while true do
  load(source)
end
