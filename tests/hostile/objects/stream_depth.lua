-- what: a hundred thousand stages, read and left open
-- expect: exit=1|4 limit=cpu|memory stderr=stages
local s = require("stream").of({ 1, 2, 3 })
for _ = 1, 100000 do
  s = s:map(tostring)
end
local read = s:iter()
print(#read())
