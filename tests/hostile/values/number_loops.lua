-- what: loops at the edge of the integers
-- expect: exit=0 stdout=contained
local n = 0
for _ = math.maxinteger - 1, math.maxinteger do
  n = n + 1
end
for _ = math.mininteger, math.mininteger + 1 do
  n = n + 1
end
for _ = 1, 3, math.maxinteger do
  n = n + 1
end
assert(not pcall(load("for i = 1, 2, 0 do end")))
print(n == 5 and "contained" or "ESCAPED: " .. n .. " rounds")
