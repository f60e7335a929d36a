-- what: a deadlock over every kind of object, with hostile names
-- expect: exit=3
local name = ("\27[31m" .. ("n"):rep(10000) .. "\n"):rep(20)
local b = require("broadcast").new(1, { name = name })
local sub = b:subscribe()
local waits = {
  { channel.new(0, name), "receive" },
  { channel.new(0, name), "send" },
  { sync.event(name), "wait" },
  { sync.barrier(2, name), "wait" },
  { sync.semaphore(0, name), "acquire" },
  { require("emitter").new(name), "wait", "never" },
  { sub, "receive" },
  { promise.new(function() end), "await" },
}
for _, wait in ipairs(waits) do
  task.spawn(wait[1][wait[2]], wait[1], wait[3])
end
task.select({ { waits[1][1], "receive" }, { waits[3][1], "wait" } })
