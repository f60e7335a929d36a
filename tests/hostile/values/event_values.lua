-- what: emit every kind of value and get the same back
-- expect: exit=0 stdout=contained
local sent = { print, {}, coroutine.create(print), task.current(), "\255", 1 << 62, true }
local got
task.spawn(function()
  got = table.pack(event.wait("values"))
end)
task.yield()
event.emit("values", table.unpack(sent))
task.yield()
for i = 1, #sent do
  if not rawequal(got[i], sent[i]) then
    return print("ESCAPED: value " .. i .. " has changed")
  end
end
print("contained")
