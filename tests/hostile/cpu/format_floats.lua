-- what: format the longest numbers for ever
-- expect: exit=4 limit=cpu
while true do
  local _ = ("%99.99f"):format(1.7e308)
end
