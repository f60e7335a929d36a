-- what: objects through everything that carries values: what arrives must be the handle
-- expect: exit=0 stdout=contained
local mutex, bad = sync.mutex(), {}
local function check(where, value)
  if value ~= mutex or next(value) ~= nil then
    bad[#bad + 1] = where
  end
end
local function same(value)
  return value
end
local function checking(where)
  return function(value)
    check(where, value)
  end
end
local ch = channel.new(1)
ch:send(mutex)
check("channel", ch:receive())
task.select({ { ch, "send", mutex } })
check("select", select(2, task.select({ { ch, "receive" } })))
check("resolve", promise.resolve(mutex):await())
check("second", select(2, promise.resolve(1, mutex):await()))
check("reject", promise.reject(mutex):catch(same):await())
check("run", promise.run(same, mutex):await())
check("all", promise.all({ mutex }):await()[1])
check("settled", promise.all_settled({ mutex }):await()[1].value)
check("handler", promise.resolve(mutex):next(same):await())
check("once", sync.once(same)(mutex))
check("with", sync.mutex():with(same, mutex))
local stream = require("stream")
check("stream", stream.of({ mutex }):map(same):collect()[1])
check("iterator", stream.of(same, mutex):take(1):collect()[1])
local b = require("broadcast").new(1)
local sub = b:subscribe()
b:send(mutex)
check("broadcast", sub:receive())
local e = require("emitter").new()
e:on("x", checking("emitter"))
e:emit("x", mutex)
require("timer").after(0, checking("timer"), mutex)
require("callback").wrap(same)(mutex, checking("callback"))
task.sleep(1)
print(#bad == 0 and "contained" or "ESCAPED: " .. table.concat(bad, " "))
