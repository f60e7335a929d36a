-- what: one string of a gigabyte
-- expect: exit=4 limit=memory
print(#("x"):rep(1 << 30))
