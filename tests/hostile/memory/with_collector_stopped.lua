-- what: stop the collector, then make garbage only
-- expect: exit=4 limit=cpu|memory
pcall(collectgarbage, "stop")
pcall(collectgarbage, "generational")
while true do
  local _ = { { {} } }
end
