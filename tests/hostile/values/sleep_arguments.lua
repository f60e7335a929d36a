-- what: durations that are none
-- expect: exit=0 stdout=contained
local values = { -1, 0 / 0, -math.huge, "1", "x", {}, print, true, "0x1p-3" }
for _, value in ipairs(values) do
  for _, fn in ipairs({ sleep, task.sleep }) do
    if pcall(fn, value) then
      return print("ESCAPED: slept for " .. tostring(value))
    end
  end
  if pcall(task.timeout, value, task.yield) or pcall(event.wait, "never", value) then
    return print("ESCAPED: waited for " .. tostring(value))
  end
end
print("contained")
