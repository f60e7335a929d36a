-- what: dump a function, patch the bytes, load it again
-- expect: exit=0 stdout=contained
local dump = string.dump or ("").dump
local ok, code = pcall(function()
  return dump(function()
    return 1
  end)
end)
local patched = ok and load(code:gsub("\1", "\2"), "=patched", "b")
print((ok or patched) and "ESCAPED: string.dump works" or "contained")
