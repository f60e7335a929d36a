-- what: a thousand __close loops, one after the other
-- expect: exit=4 limit=cpu
local function loop()
  while true do
  end
end
local meta = { __close = loop }
local function open(n)
  local _ <close> = setmetatable({}, meta)
  if n == 0 then
    loop()
  end
  open(n - 1)
end
open(150)
