-- what: choose a milder policy than the host's
-- expect: exit=4 limit=cpu
for _, policy in ipairs({ "warn", "throttle" }) do
  pcall(task.limit, { cpu_s = 0.01, policy = policy }, function()
    while true do
    end
  end)
end
while true do
end
