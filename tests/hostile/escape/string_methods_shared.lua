-- what: change what ("x"):upper() does for everybody
-- expect: exit=0 stdout=contained
rawset(string, "upper", function()
  return "changed"
end)
rawset(string, "__index", print)
print(("x"):upper() == "X" and "contained" or "ESCAPED: the methods of all strings are this table")
