-- what: an endless loop in a comparator, under a C function
-- expect: exit=4 limit=cpu
table.sort({ 3, 1, 2 }, function()
  while true do
  end
end)
