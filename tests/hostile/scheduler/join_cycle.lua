-- what: two tasks join each other
-- expect: exit=1 stderr=would wait for itself
local a, b
a = task.spawn(function()
  return b:join()
end)
b = task.spawn(function()
  return a:join()
end)
