-- what: event names of a megabyte with many parts
-- expect: exit=1 stderr=must not be longer than 1000 bytes
local e = require("emitter").new()
local name = ("a."):rep(300000) .. "*"
for _ = 1, 3 do
  e:on(name, function() end)
  e:emit(name:sub(1, -2) .. "b")
end
local t = task.spawn_with({ background = true }, e.wait, e, name)
task.yield()
print(#t:info().detail < 1000 and "contained" or "long detail")
