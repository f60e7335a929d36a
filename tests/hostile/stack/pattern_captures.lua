-- what: more captures than there is room for
-- expect: exit=1 stderr=too many captures
print(("x"):rep(100):find(("(x)"):rep(50)))
