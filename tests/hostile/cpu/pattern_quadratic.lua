-- what: an unanchored pattern that costs the square of a long subject
-- expect: exit=4 limit=cpu
print(("x"):rep(2000000):find(".-y"))
