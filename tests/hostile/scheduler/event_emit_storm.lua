-- what: emit without waiters for ever
-- expect: exit=4 limit=cpu
for i = 1, math.huge do
  event.emit("name " .. i % 1000, i)
end
