-- what: a mild limit of nothing, and one that is passed by an infinite amount
-- expect: exit=4 limit=wall|cpu
pcall(task.limit, { wall_s = 0, policy = "warn" }, task.sleep, 0.01)
pcall(task.limit, { cpu_s = 0, policy = "throttle" }, task.sleep, 0.01)
pcall(task.limit, { memory_bytes = 1e6, policy = "warn" }, function()
  pcall(string.pack, "c" .. ("9"):rep(400), "x")
end)
while true do
end
