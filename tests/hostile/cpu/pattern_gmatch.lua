-- what: each step of gmatch fails to the end of the subject
-- expect: exit=4 limit=cpu
for match in ("a"):rep(500000):gmatch("a*a*b") do
  print(match)
end
