-- what: gsub with a pattern that backtracks at every position
-- expect: exit=4 limit=cpu
print((("a"):rep(5000):gsub("a-a-a-b", "")))
