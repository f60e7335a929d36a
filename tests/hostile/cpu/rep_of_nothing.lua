-- what: string.rep of the empty string: the loop counts although nothing is copied
-- expect: exit=0|4 stdout=contained limit=cpu
print(string.rep("", math.maxinteger) == "" and "contained" or "ESCAPED: not empty")
