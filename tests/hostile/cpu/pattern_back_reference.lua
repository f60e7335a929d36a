-- what: back-references tried at every length
-- expect: exit=4 limit=cpu
print(("a"):rep(20000):find("(a*)(a*)%2%1x"))
