-- what: a message handler that raises
-- expect: exit=0 stdout=contained
local ok = xpcall(error, function()
  error("again")
end, "start")
print(ok and "ESCAPED: no error" or "contained")
