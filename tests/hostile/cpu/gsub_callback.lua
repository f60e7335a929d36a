-- what: an endless loop in a callback of gsub
-- expect: exit=4 limit=cpu
local function endless()
  while true do
  end
end
print((("x"):gsub("x", endless)))
