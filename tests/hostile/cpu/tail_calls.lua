-- what: endless tail calls, which need no stack
-- expect: exit=4 limit=cpu
local function again()
  return again()
end
again()
