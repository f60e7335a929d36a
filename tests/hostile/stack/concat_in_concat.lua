-- what: __concat that concatenates
-- expect: exit=1 stderr=overflow
local meta = {}
function meta.__concat(a, b)
  return (a .. b) .. b
end
print(setmetatable({}, meta) .. "x")
