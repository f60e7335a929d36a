-- what: an error in a coroutine in a coroutine in a comparator
-- expect: exit=1 stderr=deep inside
table.sort({ 2, 1 }, function()
  coroutine.wrap(function()
    coroutine.wrap(function()
      task.yield()
      error("deep inside")
    end)()
  end)()
  return true
end)
