-- what: ten thousand variables to close on one stack
-- expect: exit=0|1 stdout=contained stderr=overflow
local meta = { __close = function() end }
local function open(n)
  local _ <close> = setmetatable({}, meta)
  if n > 0 then
    open(n - 1)
  end
end
open(10000)
print("contained")
