-- what: wait for ever new names, each for no time
-- expect: exit=4 limit=cpu|memory
for i = 1, math.huge do
  event.wait("name " .. i, 0)
end
