-- what: double a string until memory ends
-- expect: exit=4 limit=memory
local s = "0123456789"
while true do
  s = s .. s
end
