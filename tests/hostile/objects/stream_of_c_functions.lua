-- what: an endless stream with nothing but functions written in C
-- expect: exit=4 limit=cpu|memory
local stream = require("stream")
stream.of(os.time):filter(rawequal):map(rawlen):collect()
