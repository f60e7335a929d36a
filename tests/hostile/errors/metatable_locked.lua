-- what: an error with a locked metatable
-- expect: exit=1 stderr=error object is a table value
error(setmetatable({}, { __metatable = "locked" }))
