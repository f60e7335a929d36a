-- what: positions for select that do not exist
-- expect: exit=0 stdout=contained
for _, n in ipairs({ 0, -5, math.mininteger, "x", 1.5, 0 / 0 }) do
  if pcall(select, n, 1, 2) then
    return print("ESCAPED: select " .. tostring(n))
  end
end
assert(select("#", select(math.maxinteger, 1, 2)) == 0)
print("contained")
