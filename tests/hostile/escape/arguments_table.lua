-- what: look for host objects in arg, params and ...
-- expect: exit=0 stdout=contained
local function check(t, depth)
  for key, value in pairs(t or {}) do
    local kind = type(value)
    if kind == "userdata" or kind == "function" or type(key) == "userdata" then
      return tostring(key)
    elseif kind == "table" and depth < 3 then
      return check(value, depth + 1)
    end
  end
end
local found = check(arg, 0) or check(params, 0) or check({ ... }, 0)
print(found and "ESCAPED: a host object: " .. found or "contained")
