-- what: the bytes of a long string as results
-- expect: exit=1 stderr=string slice too long
print(("x"):rep(10000000):byte(1, -1))
