-- what: operator chains too long for the compiler's registers
-- expect: exit=0 stdout=contained
for _, operator in ipairs({ "..", "^" }) do
  local fn = load("local a = 1 return " .. ("a " .. operator .. " "):rep(100000) .. "a")
  if fn then
    return print("ESCAPED: " .. operator)
  end
end
print("contained")
