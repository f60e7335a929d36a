-- what: a numeric loop that never ends, with floats
-- expect: exit=4 limit=cpu
for _ = 1, math.huge do
end
