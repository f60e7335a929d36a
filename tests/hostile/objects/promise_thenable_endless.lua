-- what: a thenable that resolves with itself for ever
-- expect: exit=4 limit=cpu
local thenable = {}
function thenable:next(resolve)
  resolve(self)
end
promise.resolve(thenable):await()
