-- what: an error whose message names the types, one of them invented
-- expect: exit=1 stderr=attempt to compare
local a = setmetatable({}, { __name = "a\27[31m" })
print(a < 1)
