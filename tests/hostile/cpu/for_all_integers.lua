-- what: a numeric loop over every integer
-- expect: exit=4 limit=cpu
for _ = math.mininteger, math.maxinteger do
end
