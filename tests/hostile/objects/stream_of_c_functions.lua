-- what: an endless stream with nothing but functions written in C
-- expect: exit=4 limit=cpu
local stream = require("stream")
stream.of(type, "x"):map(tostring):filter(tonumber):collect()
