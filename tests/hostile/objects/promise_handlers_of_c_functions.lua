-- what: handlers written in C that keep a queue full
-- expect: exit=4 limit=cpu|memory
local p = promise.resolve(1)
while true do
  p = p:next(tostring)
end
