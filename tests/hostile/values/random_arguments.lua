-- what: ranges for math.random that overflow
-- expect: exit=0 stdout=contained
assert(not pcall(math.random, 1, 0) and not pcall(math.random, 0.5))
assert(not pcall(math.random, 1, 2, 3) and not pcall(math.random, 2 ^ 63))
math.random(math.mininteger, math.maxinteger)
math.random(0)
pcall(math.randomseed, 0 / 0)
print(math.tointeger(2 ^ 63) == nil and "contained" or "ESCAPED: an integer")
