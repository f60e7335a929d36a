-- what: handlers that return nil, tables and nothing
-- expect: exit=0 stdout=contained
for _, handler in ipairs({ print, type, rawlen, function() end, coroutine.running }) do
  local ok = xpcall(error, handler, "")
  if ok then
    return print("ESCAPED: no error")
  end
end
print("contained")
