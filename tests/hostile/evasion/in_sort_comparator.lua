-- what: catch inside a comparator, under a C function
-- expect: exit=4 limit=cpu
while true do
  pcall(table.sort, { 3, 2, 1 }, function()
    pcall(function()
      while true do
      end
    end)
    return true
  end)
end
