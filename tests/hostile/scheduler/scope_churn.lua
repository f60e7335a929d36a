-- what: open and close scopes for ever
-- expect: exit=4 limit=cpu
local function nothing() end
while true do
  task.scope(nothing)
end
