-- what: handlers that call protected functions with themselves as handlers
-- expect: exit=0 stdout=contained
local function handler(err)
  return select(2, xpcall(error, handler, err))
end
xpcall(error, handler, "start")
print("contained")
