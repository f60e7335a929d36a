-- what: a replacement that is no string
-- expect: exit=1 stderr=invalid replacement value
print((("x"):gsub("x", function()
  return {}
end)))
