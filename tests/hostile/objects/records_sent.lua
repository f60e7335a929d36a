-- what: objects through everything that carries values: what arrives must be the handle
-- expect: exit=0 stdout=contained
local mutex, bad = sync.mutex(), {}
local function check(where, value)
  if value ~= mutex or next(value) ~= nil then
    bad[#bad + 1] = where
  end
end
local ch = channel.new(1)
ch:send(mutex)
check("channel", ch:receive())
task.select({ { ch, "send", mutex } })
check("select", select(2, task.select({ { ch, "receive" } })))
check("resolve", promise.resolve(mutex):await())
check("second", select(2, promise.resolve(1, mutex):await()))
check(
  "reject",
  promise
    .reject(mutex)
    :catch(function(reason)
      return reason
    end)
    :await()
)
check("all", promise.all({ mutex }):await()[1])
check("settled", promise.all_settled({ mutex }):await()[1].value)
check(
  "handler",
  promise
    .resolve(1)
    :next(function()
      return mutex
    end)
    :await()
)
check(
  "once",
  sync.once(function()
    return mutex
  end)()
)
check(
  "with",
  mutex:with(function(value)
    return value
  end, mutex)
)
check("stream", require("stream").of({ mutex }):collect()[1])
check(
  "iterator",
  require("stream")
    .of(function(state)
      return state
    end, mutex)
    :take(1)
    :collect()[1]
)
local b = require("broadcast").new(1)
local sub = b:subscribe()
b:send(mutex)
check("broadcast", sub:receive())
local e = require("emitter").new()
e:on("x", function(value)
  check("handler of an emitter", value)
end)
e:emit("x", mutex)
require("timer").after(0, function(value)
  check("timer", value)
end, mutex)
require("callback").wrap(function(value)
  return value
end)(mutex, function(value)
  check("callback", value)
end)
task.sleep(1)
print(#bad == 0 and "contained" or "ESCAPED: " .. table.concat(bad, " "))
