-- what: raise and catch for ever
-- expect: exit=4 limit=cpu
local function fail()
  error({})
end
repeat
  local ok = pcall(fail)
until ok
