-- what: strings that are no text
-- expect: exit=0 stdout=contained
print("contained")
return "\255\254\0", "\237\160\128", ("\240"):rep(1000)
