-- what: look whether pcall returns after the kill
-- expect: exit=4 limit=cpu
local ok, err = pcall(function()
  while true do
  end
end)
print("ESCAPED: pcall returned", ok, err)
