-- what: texts of numbers that overflow
-- expect: exit=0 stdout=contained
local texts =
  { "1e999999999", "-1e999999999", "0x" .. ("f"):rep(1000), ("9"):rep(1000), "0x.1p99999" }
for _, text in ipairs(texts) do
  if not tonumber(text) then
    return print("ESCAPED: " .. #text)
  end
end
for _, base in ipairs({ 1, 37, -1, math.maxinteger }) do
  assert(not pcall(tonumber, "1", base))
end
print("contained")
