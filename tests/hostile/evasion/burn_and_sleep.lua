-- what: stay below every slice: compute for two milliseconds, sleep for one
-- expect: exit=4 limit=cpu
while true do
  local until_then = os.clock() + 0.002
  while os.clock() < until_then do
  end
  task.sleep(0.001)
end
