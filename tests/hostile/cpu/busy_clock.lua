-- what: wait by looking at the clock
-- expect: exit=4 limit=cpu
local before = os.time()
while os.time() < before + 3600 do
  os.clock()
end
