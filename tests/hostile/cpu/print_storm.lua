-- what: print without end
-- expect: exit=4 limit=cpu
while true do
  print("a line of output")
end
