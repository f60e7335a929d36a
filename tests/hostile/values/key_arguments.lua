-- what: keys that tables refuse
-- expect: exit=0 stdout=contained
local t = {}
assert(not pcall(rawset, t, nil, 1) and not pcall(rawset, t, 0 / 0, 1))
assert(not pcall(function()
  t[0 / 0] = 1
end))
t[2 ^ 53], t[1 << 53] = 1, 2
print(next(t) and rawlen(t) == 0 and "contained" or "ESCAPED: " .. rawlen(t))
