-- what: ask load for binary chunks by its mode
-- expect: exit=0 stdout=contained
for _, mode in ipairs({ "b", "bt", "tb", "" }) do
  local ok, fn, message = pcall(load, "\27LuaU\0\25\147\r\n\26\n", "=chunk", mode)
  message = tostring(ok and message or fn)
  if ok and fn or message:find("truncated", 1, true) or message:find("mismatch", 1, true) then
    return print("ESCAPED: mode " .. mode .. ": " .. message)
  end
end
print("contained")
