-- what: pack formats with impossible sizes and alignments
-- expect: exit=0 stdout=contained
local formats = { "i17", "i0", "!17", "!3i4", "c", "Xz", "X", "s99", "y", "i" .. ("9"):rep(30) }
for _, format in ipairs(formats) do
  local packed = pcall(string.pack, format, 1)
  local unpacked = pcall(string.unpack, format, "x")
  if packed or unpacked then
    return print("ESCAPED: " .. format)
  end
end
assert(not pcall(string.unpack, "s8", "\255\255\255\255\255\255\255\127"))
assert(not pcall(string.packsize, ("c" .. math.maxinteger):rep(2)))
print("contained")
