-- what: an unpack format with more items than a stack holds
-- expect: exit=1 stderr=too many results
print(string.unpack(("b"):rep(2000000), ("x"):rep(2000000)))
