-- what: a C function that doubles what is there
-- expect: exit=4 limit=memory
local kept = { ("x"):rep(40000000) }
while true do
  kept[#kept + 1] = kept[#kept]:upper():lower() .. #kept
end
