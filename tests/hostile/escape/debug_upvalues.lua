-- what: pull the kernel's upvalues out of a library function
-- expect: exit=0 stdout=contained
local ok, name, value = pcall(function()
  return debug.getupvalue(task.sleep, 1)
end)
print(ok and name and "ESCAPED: upvalue " .. name .. " is a " .. type(value) or "contained")
