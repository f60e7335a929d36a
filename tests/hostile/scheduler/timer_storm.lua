-- what: a thousand tasks sleep for the shortest time, for ever
-- expect: exit=4 limit=cpu
for _ = 1, 1000 do
  task.spawn(function()
    while true do
      task.sleep(1e-9)
    end
  end)
end
