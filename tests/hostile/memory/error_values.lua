-- what: keep errors whose messages grow
-- expect: exit=4 limit=memory
local message = "x"
while true do
  local _, err = pcall(error, message .. message)
  message = err
end
