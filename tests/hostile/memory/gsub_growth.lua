-- what: every match is replaced by a large string
-- expect: exit=4 limit=memory
print(#(("x"):rep(100000):gsub("x", ("y"):rep(100000))))
