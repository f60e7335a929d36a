-- what: formats that C's printf would stumble over
-- expect: exit=0 stdout=contained
local formats = { "%n", "%999d", "%.999f", "%", "%q", "%10q", "%lld", "%*d", "%-+ #0100d", "%s" }
for _, format in ipairs(formats) do
  local ok = pcall(string.format, format, format == "%q" and {} or nil)
  if ok and format ~= "%s" and format ~= "%q" then
    return print("ESCAPED: " .. format)
  end
end
assert(not pcall(string.format, "%d", 2 ^ 63) and not pcall(string.format, "%c"))
print("contained")
