-- what: an endless loop made of operators alone
-- expect: exit=4 limit=cpu
local meta = {}
local value = setmetatable({}, meta)
function meta.__add(a)
  return a
end
meta.__concat, meta.__unm, meta.__sub = meta.__add, meta.__add, meta.__add
while true do
  value = -(value + value - value) .. value
end
