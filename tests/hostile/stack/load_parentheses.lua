-- what: source nested too deep for the compiler
-- expect: exit=0 stdout=contained
for _, piece in ipairs({ "(", "{", "[[", "- ", "not ", "function() return ", "a." }) do
  local fn = load("return " .. piece:rep(200000))
  if fn then
    return print("ESCAPED: " .. piece)
  end
end
print("contained")
