-- what: division and modulo where a processor would trap
-- expect: exit=0 stdout=contained
local least = math.mininteger
assert(least // -1 == least and least % -1 == 0 and -least == least)
assert(not pcall(load("return 1 // 0")) and not pcall(load("return 1 % 0")))
assert(1 << 64 == 0 and 1 << -64 == 0 and 1 << least == 0 and 1 >> least == 0)
assert(not pcall(load("return 1.5 | 1")) and not pcall(load("return 2^64 | 0")))
print("contained")
