-- what: malformed patterns of every kind
-- expect: exit=0 stdout=contained
for _, pattern in ipairs({ "[", "[^", "%", "(", "%b", "%bx", "%f", "%1", "(()", "[a-", "[%" }) do
  if pcall(string.find, "x", pattern) then
    return print("ESCAPED: " .. pattern)
  end
end
print("contained")
