-- what: find functions of the limits that a script should not have
-- expect: exit=0 stdout=contained
for _, name in ipairs({
  "kill",
  "unlimit",
  "set_limits",
  "public",
  "is_task",
  "label",
  "set_recording",
}) do
  if task[name] ~= nil then
    return print("ESCAPED: task." .. name)
  end
end
print("contained")
