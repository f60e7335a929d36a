-- what: a reader feeds load one string literal without end
-- expect: exit=4 limit=memory|cpu
local first = true
load(function()
  if first then
    first = false
    return "return '"
  end
  return ("x"):rep(100000)
end)
