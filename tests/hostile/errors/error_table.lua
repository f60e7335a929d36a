-- what: raise a table that says nothing of itself
-- expect: exit=1 stderr=error object is a table value
error({})
