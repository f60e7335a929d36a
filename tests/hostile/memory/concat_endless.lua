-- what: table.concat of a sequence that __index invents
-- expect: exit=4 limit=memory
local endless = setmetatable({}, { __index = type })
print(#table.concat(endless, " ", 1, math.maxinteger - 1))
