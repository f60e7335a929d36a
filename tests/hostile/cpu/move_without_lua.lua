-- what: table.move over every integer, each access a C function
-- expect: exit=4 limit=cpu
local from = setmetatable({}, { __index = rawlen })
local to = setmetatable({}, { __newindex = rawequal })
table.move(from, 1, math.maxinteger - 1, 1, to)
