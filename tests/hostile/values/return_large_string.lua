-- what: hand a string of fifty megabytes to Python
-- expect: exit=0|4 stdout=contained limit=memory
-- isolate: exit=1 stderr=at most 16777216 bytes of values cross at once
print("contained")
return ("x"):rep(50000000)
