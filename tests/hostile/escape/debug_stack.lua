-- what: walk the stack down to the scheduler and read its locals
-- expect: exit=0 stdout=contained
local ok, info = pcall(function()
  return debug.getinfo(3, "f")
end)
print(ok and info and "ESCAPED: a frame of the scheduler" or "contained")
