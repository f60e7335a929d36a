-- what: keep closures
-- expect: exit=4 limit=memory
local last
while true do
  local before = last
  last = function()
    return before
  end
end
