-- what: build a string one character at a time
-- expect: exit=4 limit=cpu|memory
local s = ("x"):rep(1000000)
while true do
  s = s .. "x"
end
