-- what: read the kernel's record of a task
-- expect: exit=0 stdout=contained
local t = task.current()
for _, name in ipairs({
  "co",
  "fn",
  "home",
  "inner",
  "wait",
  "on",
  "args",
  "storage",
  "doomed",
  "own",
}) do
  if t[name] ~= nil then
    return print("ESCAPED: task." .. name .. " is a " .. type(t[name]))
  end
end
print("contained")
