-- what: orders that are none: always true, random, changing the table
-- expect: exit=0 stdout=contained
local t = {}
for i = 1, 1000 do
  t[i] = i * 7919 % 1000
end
local orders = {
  function()
    return true
  end,
  function()
    return math.random() < 0.5
  end,
  function(a, b)
    t[#t] = nil
    return a < b
  end,
  function(a, b)
    t[a] = b
    return a <= b
  end,
}
for _, order in ipairs(orders) do
  pcall(table.sort, t, order)
end
print("contained")
