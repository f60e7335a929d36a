-- what: a __newindex that leads back
-- expect: exit=1 stderr='__newindex' chain too long
local a, b = {}, {}
setmetatable(a, { __newindex = b })
setmetatable(b, { __newindex = a })
a.x = 1
