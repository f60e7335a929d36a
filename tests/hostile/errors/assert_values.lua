-- what: raise through assert
-- expect: exit=1 stderr=error object is a table value
assert(false, {})
