-- what: a handler that sleeps
-- expect: exit=0 stdout=contained
local ok, err = xpcall(error, function(message)
  task.sleep(0.01)
  return message .. " and slept"
end, "failed", 0)
print(not ok and err and "contained" or "ESCAPED: no error")
