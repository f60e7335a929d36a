-- what: grow under a C function
-- expect: exit=4 limit=memory
local t = {}
table.sort({ 1, 2, 3 }, function()
  while true do
    t[#t + 1] = { {} }
  end
end)
