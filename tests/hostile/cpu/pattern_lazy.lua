-- what: many lazy quantifiers
-- expect: exit=4 limit=cpu
print(("x"):rep(2000):match((".-"):rep(12) .. "y"))
