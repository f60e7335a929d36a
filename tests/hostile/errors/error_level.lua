-- what: levels for error that do not exist
-- expect: exit=1 stderr=level
for _, level in ipairs({ -1, 100000, math.maxinteger, math.mininteger }) do
  pcall(error, "x", level)
end
error("level", math.maxinteger)
