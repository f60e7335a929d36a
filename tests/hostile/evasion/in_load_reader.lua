-- what: catch inside a reader of load
-- expect: exit=4 limit=cpu
while true do
  load(function()
    pcall(function()
      while true do
      end
    end)
    return " "
  end)
end
