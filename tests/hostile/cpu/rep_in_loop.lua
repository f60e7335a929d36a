-- what: build and drop large strings
-- expect: exit=4 limit=cpu|memory
while true do
  local _ = ("x"):rep(5000000)
end
