-- what: a pattern that backtracks for centuries in one match
-- expect: exit=4 limit=cpu
print(("a"):rep(100):find(("a*"):rep(20) .. "b"))
