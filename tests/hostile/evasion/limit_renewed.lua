-- what: small limits one after the other, each with a fresh allowance
-- expect: exit=4 limit=cpu
while true do
  task.limit({ cpu_s = 0.02 }, function()
    while true do
    end
  end)
end
