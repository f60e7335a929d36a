-- what: get the string metatable
-- expect: exit=0 stdout=contained
local meta = getmetatable("")
print((type(meta) == "table") and "ESCAPED: the string metatable" or "contained")
