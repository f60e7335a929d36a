-- what: %b scans to the end from every position
-- expect: exit=4 limit=cpu
print(("("):rep(1000000):find("%b()"))
