-- what: promise.all of half a million values, again and again
-- expect: exit=4 limit=cpu|memory
local list = {}
for i = 1, 200000 do
  list[i] = i
end
while true do
  promise.all(list)
end
