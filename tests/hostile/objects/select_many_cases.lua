-- what: a select over a million cases
-- expect: exit=1|4 limit=cpu|memory stderr=cases
local ch, cases = channel.new(), {}
local case = { ch, "receive" }
for i = 1, 1000000 do
  cases[i] = case
end
task.select(cases)
