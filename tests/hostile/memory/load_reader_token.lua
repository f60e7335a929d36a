-- what: a reader feeds load one string literal without end
-- expect: exit=0|4 limit=cpu|memory
local first = true
load(function()
  if first then
    first = false
    return "return '"
  end
  return ("x"):rep(100000)
end)
