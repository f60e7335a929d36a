-- what: raise false
-- expect: exit=1 stderr=false
error(false)
