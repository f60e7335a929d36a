-- what: catch the kill and start again
-- expect: exit=4 limit=cpu
while true do
  pcall(function()
    while true do
    end
  end)
end
