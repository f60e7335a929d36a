-- what: limits that are none
-- expect: exit=0 stdout=contained
local bad = {
  1,
  "cpu",
  { cpu_s = -1 },
  { cpu_s = 0 / 0 },
  { cpu_s = "1" },
  { cpu_s = {} },
  { memory_bytes = -1 },
  { memory_bytes = 0 / 0 },
  { tasks = -1 },
  { tasks = "many" },
  { wall_s = -1 },
  { output_bytes = -1 },
  { host_calls = 0 / 0 },
  { cpu = 1 },
  { [1] = 1 },
  { policy = "never" },
}
for i, limits in ipairs(bad) do
  if pcall(task.limit, limits, task.yield) then
    return print("ESCAPED: limits " .. i)
  end
end
print(pcall(task.limit, {}, 1) and "ESCAPED: nothing to call" or "contained")
