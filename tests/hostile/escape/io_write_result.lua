-- what: get the file back from what io.write and its method return
-- expect: exit=0 stdout=contained
for _, result in ipairs({ io.write(""), io.stdout:write("") }) do
  local ok, method = pcall(function()
    return result.close or result.lines
  end)
  if ok and method then
    return print("ESCAPED: a real file")
  end
end
print("contained")
