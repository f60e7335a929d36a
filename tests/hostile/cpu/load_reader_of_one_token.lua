-- what: a reader that feeds load a comment without end
-- expect: exit=0|4 limit=cpu|memory
local first = true
load(function()
  if first then
    first = false
    return "-- "
  end
  return "x"
end)
