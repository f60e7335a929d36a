-- what: an error whose __name is a megabyte long
-- expect: exit=1
error(setmetatable({}, { __name = ("n"):rep(1000000) }))
