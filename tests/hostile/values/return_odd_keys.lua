-- what: tables with keys that Python has no counterpart for
-- expect: exit=0|1 stdout=contained stderr=result
print("contained")
return { [print] = 1, [{}] = 2, [1.5] = 3, [true] = 4, [-1] = 5, ["\255"] = 6, [math.huge] = 7 }
