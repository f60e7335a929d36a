-- what: merge two hundred thousand streams
-- expect: exit=0|1|4 limit=cpu|memory
local stream = require("stream")
local list = {}
for i = 1, 200000 do
  list[i] = stream.of({ 1 })
end
stream.of({ 1 }):merge(table.unpack(list)):collect()
