-- what: go on in the message handler
-- expect: exit=4 limit=cpu
xpcall(function()
  while true do
  end
end, function(err)
  print("ESCAPED: the handler saw", err)
  while true do
  end
end)
