-- what: __close that opens another such variable
-- expect: exit=1 stderr=overflow
local meta = {}
function meta.__close()
  local _ <close> = setmetatable({}, meta)
  return nil, nil
end
meta.__close()
