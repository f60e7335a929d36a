-- what: a helper task computes while the script sleeps
-- expect: exit=4 limit=cpu
task.spawn(function()
  while true do
    pcall(function()
      while true do
      end
    end)
  end
end)
task.sleep(1000)
