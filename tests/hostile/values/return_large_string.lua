-- what: hand a string of fifty megabytes to Python
-- expect: exit=0|4 stdout=contained limit=memory
print("contained")
return ("x"):rep(50000000)
