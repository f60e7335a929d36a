-- what: the ends of the number ranges
-- expect: exit=0 stdout=contained
print("contained")
return math.maxinteger, math.mininteger, 0 / 0, -(0 / 0), math.huge, -math.huge, -0.0, 5e-324
