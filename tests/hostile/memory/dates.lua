-- what: keep long dates
-- expect: exit=4 limit=memory
local kept = {}
local format = ("%c"):rep(20000)
while true do
  kept[#kept + 1] = os.date(format) .. #kept
end
