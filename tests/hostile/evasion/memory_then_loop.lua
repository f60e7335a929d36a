-- what: let the kill for memory be followed by a loop
-- expect: exit=4 limit=memory
local t = {}
while true do
  pcall(function()
    while true do
      t[#t + 1] = { {} }
    end
  end)
  while #t == 0 do
  end
end
