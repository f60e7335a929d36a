-- what: a loop that looks as if it would end
-- expect: exit=4 limit=cpu
local n = 1
while n ~= 0 do
  n = math.random(1 << 40)
end
