-- what: blocks nested too deep for the compiler
-- expect: exit=0 stdout=contained
for _, piece in ipairs({ "do ", "while 1 do ", "if 1 then ", "for i = 1, 2 do ", "repeat " }) do
  local fn = load(piece:rep(100000) .. ("end "):rep(100000))
  if fn then
    return print("ESCAPED: " .. piece)
  end
end
print("contained")
