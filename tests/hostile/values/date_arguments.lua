-- what: date formats and times that C's strftime would stumble over
-- expect: exit=0 stdout=contained
for _, format in ipairs({ "%", "%Q", "%E", "%Ez", "%5", "%\0", "*x%" }) do
  if pcall(os.date, format) then
    return print("ESCAPED: " .. format)
  end
end
for _, time in ipairs({ 1 << 60, -(1 << 60), math.maxinteger }) do
  assert(not pcall(os.date, "*t", time))
end
assert(not pcall(os.time, { year = math.maxinteger, month = 1, day = 1 }))
assert(not pcall(os.time, { year = "x", month = {}, day = print }))
print("contained")
