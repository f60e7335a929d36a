-- what: the code points of a long string as results
-- expect: exit=1 stderr=string slice too long
print(utf8.codepoint(("x"):rep(10000000), 1, -1))
