-- what: a handler that needs much stack when there is none left
-- expect: exit=0 stdout=contained
local function deeper(n)
  return 1 + deeper(n + 1)
end
local ok = xpcall(deeper, function(err)
  return deeper(err and 1)
end, 1)
print(ok and "ESCAPED: no error" or "contained")
