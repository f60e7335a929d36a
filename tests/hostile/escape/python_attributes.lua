-- what: climb from any value that a host made to Python's classes
-- expect: exit=0 stdout=contained
local function climb(value)
  return value.__class__ or value.__globals__ or value.__builtins__ or value.gi_frame
end
for name, value in pairs(_G) do
  if type(value) == "userdata" then
    return print("ESCAPED: the global " .. tostring(name) .. " is a userdata")
  end
  local ok, found = pcall(climb, value)
  if ok and found ~= nil then
    return print("ESCAPED: through the global " .. tostring(name))
  end
end
print("contained")
