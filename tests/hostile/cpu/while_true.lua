-- what: an empty endless loop
-- expect: exit=4 limit=cpu
while true do
end
