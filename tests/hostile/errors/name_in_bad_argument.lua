-- what: __name finds its way into the messages of argument errors
-- expect: exit=1
local value = setmetatable({}, { __name = ("n"):rep(1000000) .. "\n" })
string.rep(value, value)
