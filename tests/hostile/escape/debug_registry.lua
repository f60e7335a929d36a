-- what: read the registry
-- expect: exit=0 stdout=contained
local ok, registry = pcall(function()
  return debug.getregistry()
end)
print(ok and "ESCAPED: " .. type(registry) or "contained")
