-- what: a large replacement at every empty match
-- expect: exit=4 limit=memory
print(#(("x"):rep(100000):gsub("", ("y"):rep(100000))))
