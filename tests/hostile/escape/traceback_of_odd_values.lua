-- what: give debug.traceback tables, handles and functions in every place
-- expect: exit=0 stdout=contained
for _, value in ipairs({ {}, print, task.current(), task, 0 / 0, -1, 1e300 }) do
  local ok, result = pcall(debug.traceback, value, value, value)
  if ok and type(result) ~= "string" and not rawequal(result, value) then
    return print("ESCAPED: traceback gave a " .. type(result))
  end
end
print("contained")
