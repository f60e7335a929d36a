-- what: handlers that make handlers for ever
-- expect: exit=4 limit=cpu
local function again()
  return promise.resolve():next(again)
end
again():await()
