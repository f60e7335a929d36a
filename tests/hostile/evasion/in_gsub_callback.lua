-- what: catch inside a callback of gsub
-- expect: exit=4 limit=cpu
local function loop()
  while true do
  end
end
while true do
  pcall(string.gsub, "xxx", "x", function()
    pcall(loop)
  end)
end
