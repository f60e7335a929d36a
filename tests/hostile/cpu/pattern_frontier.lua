-- what: frontiers and classes that overlap
-- expect: exit=4 limit=cpu
print(("ab "):rep(3000):find("%f[%w].-%f[%W].-%f[%w].-%f[%W].-%f[%w].-#"))
