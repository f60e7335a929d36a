-- what: a reader that feeds load white space for ever
-- expect: exit=0|4 limit=cpu|memory
load(function()
  return " "
end)
