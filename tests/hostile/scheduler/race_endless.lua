-- what: losers of a race that do not give up
-- expect: exit=0
task.race({
  task.yield,
  function()
    while true do
    end
  end,
})
