-- what: a hundred thousand handlers: emit, take off, end the scope
-- expect: exit=0|4 limit=cpu|memory stdout=contained
local e = require("emitter").new()
local calls = 0
task.scope(function()
  for _ = 1, 50000 do
    e:on("x", function() end)
  end
  e:off("x")
  for i = 1, 20000 do
    e:on("x." .. i .. ".*", function() end)
    e:on("x", function()
      calls = calls + 1
    end)
  end
  e:emit("x")
  e:emit("x.1.y")
end)
while e:statistics().handlers > 0 do
  task.yield()
end
print(calls == 20000 and "contained" or "ESCAPED")
