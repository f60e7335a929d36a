-- what: a chain of tables
-- expect: exit=4 limit=memory
local t = {}
while true do
  t = { t }
end
