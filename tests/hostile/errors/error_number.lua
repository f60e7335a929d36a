-- what: raise a number
-- expect: exit=1 stderr=42
error(42)
