-- what: variables to close whose method has gone
-- expect: exit=1 stderr=__close|close
local meta = { __close = print }
local _ <close> = setmetatable({}, meta)
meta.__close = nil
