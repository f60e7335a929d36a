-- what: a pattern that recurses in C for every item
-- expect: exit=1 stderr=pattern too complex
print(("x"):rep(100000):find(("x?"):rep(100000) .. "y"))
