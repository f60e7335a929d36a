-- what: table.move of an endless range of nils
-- expect: exit=4 limit=cpu
table.move({}, 1, math.maxinteger - 1, 1, {})
