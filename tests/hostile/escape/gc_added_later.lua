-- what: add __gc to a metatable that is in use, then set it again
-- expect: exit=0 stdout=contained
local ran
local meta = {}
local object = setmetatable({}, meta)
meta.__gc = function()
  ran = true
end
local ok = pcall(setmetatable, object, meta)
object = nil
for _ = 1, 200 do
  local _ = { {}, {}, {} }
  collectgarbage("step")
end
print((ok or ran or object) and "ESCAPED: a finalizer" or "contained")
