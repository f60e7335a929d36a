-- what: select for ever over what is ready
-- expect: exit=4 limit=cpu
local ch = channel.new(1)
while true do
  task.select({ { ch, "send", 1 }, default = true })
  task.select({ { ch, "receive" }, timeout = 0 })
end
