-- what: write a result into a task that is not done
-- expect: exit=0 stdout=contained
local t = task.spawn(function()
  task.sleep(0.01)
  return "real"
end)
for _, set in ipairs({
  rawset,
  function(x, key, value)
    x[key] = value
  end,
}) do
  pcall(set, t, "state", "done")
  pcall(set, t, "on", { n = 1, "forged" })
  pcall(set, t, "wait", {})
end
print(task.current().join(t) == "real" and "contained" or "ESCAPED: the result is forged")
