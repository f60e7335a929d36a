-- what: go on from keys that are not there, and change the table meanwhile
-- expect: exit=0 stdout=contained
assert(not pcall(next, {}, "missing") and not pcall(next, { 1 }, 5))
local t = { 1, 2, 3, x = 1 }
pcall(function()
  local n = 0
  for key in pairs(t) do
    n = n + 1
    t[key], t[{}] = nil, n < 1000 and 1 or nil
  end
end)
print("contained")
