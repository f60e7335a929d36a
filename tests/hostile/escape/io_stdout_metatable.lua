-- what: reach the methods of all files through the metatable of the standard output
-- expect: exit=0 stdout=contained
local meta = getmetatable(io.stdout)
print(type(meta) == "table" and meta.__index and "ESCAPED: the methods of files" or "contained")
