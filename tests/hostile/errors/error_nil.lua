-- what: raise nil
-- expect: exit=1 stderr=no error object|nil
error(nil)
