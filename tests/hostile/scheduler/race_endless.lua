-- what: losers of a race that do not give up
-- expect: exit=4 limit=cpu
task.race({
  task.yield,
  function()
    while true do
    end
  end,
})
