-- what: a failing handler of a failing function
-- expect: exit=0 stdout=contained
local ok, err = xpcall(error, function(message)
  error(message)
end, { 1 })
print(not ok and "contained" or "ESCAPED: " .. tostring(err))
