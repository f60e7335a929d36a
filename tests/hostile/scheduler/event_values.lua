-- what: emit a hundred thousand values to a hundred waiters
-- expect: exit=4 limit=memory|cpu
local t = {}
for i = 1, 100000 do
  t[i] = i
end
for _ = 1, 100 do
  task.spawn(function()
    while true do
      event.wait("values")
    end
  end)
end
while true do
  task.yield()
  event.emit("values", table.unpack(t))
end
