-- what: raise a function
-- expect: exit=1 stderr=function
error(print)
