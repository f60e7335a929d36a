-- what: more values than a stack holds
-- expect: exit=1 stderr=too many results to unpack
print(table.unpack({}, 1, 100000000))
