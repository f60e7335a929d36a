-- what: a large separator a thousand times
-- expect: exit=4 limit=memory
print(#("x"):rep(1000, ("y"):rep(2000000)))
