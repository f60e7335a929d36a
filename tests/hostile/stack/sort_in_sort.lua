-- what: comparators that sort
-- expect: exit=1 stderr=overflow
local function deeper(a, b)
  table.sort({ 1, 2, 3 }, deeper)
  return a < b
end
deeper(1, 2)
