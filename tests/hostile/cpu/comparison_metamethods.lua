-- what: an endless loop in __lt and __eq
-- expect: exit=4 limit=cpu
local function compare(a, b)
  while rawequal(a, a) do
    local _ = a.n == b
  end
end
local meta = { __lt = compare, __eq = compare }
print(setmetatable({}, meta) < setmetatable({}, meta))
