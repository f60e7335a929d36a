-- what: spawn into an outer scope from inside a limit, so that the helper survives it
-- expect: exit=4 limit=cpu
task.scope(function(scope)
  task.limit({ cpu_s = 0.1 }, function()
    scope:spawn(function()
      while true do
      end
    end)
  end)
end)
