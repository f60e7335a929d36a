-- what: positions before, at and far beyond the end of a string
-- expect: exit=0 stdout=contained
for _, at in ipairs({ 1000, -1000, math.maxinteger, math.mininteger }) do
  if at > 0 and pcall(string.unpack, "i8", "12345678", at) then
    return print("ESCAPED: read at " .. at)
  end
  assert(("x"):sub(at, at) == "" and #("x"):sub(math.mininteger, math.maxinteger) == 1)
  assert(("x"):byte(at) == nil and (("x"):find("x", at) == nil or at < 0))
end
print("contained")
