-- what: promises for ever
-- expect: exit=4 limit=cpu|memory
local kept = {}
while true do
  kept[#kept + 1] = promise.new(function() end)
end
