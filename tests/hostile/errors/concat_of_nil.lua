-- what: the everyday error, in a table field with a long name
-- expect: exit=1 stderr=attempt to
local name = ("n"):rep(100000)
local get = load("local t = {} return t." .. name .. ".x")
get()
