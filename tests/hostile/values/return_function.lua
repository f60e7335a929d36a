-- what: hand functions to Python, the libraries' too
-- expect: exit=0 stdout=contained
print("contained")
return print, task.sleep, function() end
