-- what: thousands of busy tasks; each was set aside in the middle of its work when the limit came
-- expect: exit=4 limit=cpu
for _ = 1, 3000 do
  task.spawn(function()
    while true do
    end
  end)
end
