-- what: a length that overflows the size of memory
-- expect: exit=1|4 stderr=resulting string too large limit=memory
print(#("xy"):rep(math.maxinteger))
