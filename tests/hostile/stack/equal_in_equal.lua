-- what: __eq that compares
-- expect: exit=1 stderr=overflow
local meta = {}
function meta.__eq(a, b)
  return not (b == a)
end
print(setmetatable({}, meta) == setmetatable({}, meta))
