-- what: code points and positions that do not exist
-- expect: exit=0 stdout=contained
assert(not pcall(utf8.char, -1) and not pcall(utf8.char, 1 << 31))
assert(not pcall(utf8.codepoint, "\255") and not pcall(utf8.codepoint, "x", 5))
assert(not pcall(utf8.offset, "\128", 1) and not pcall(utf8.len, "x", 9))
assert(not pcall(function()
  for _ in utf8.codes("x\255") do
  end
end))
print(utf8.len("\237\160\128") == nil and "contained" or "ESCAPED: a surrogate")
