-- what: functions with long names and chunk names on the stack
-- expect: exit=1 stderr=named
local name = ("f"):rep(100000)
local source = name .. " = function() error('named') end " .. name .. "() return 1"
load(source, "=" .. name)()
