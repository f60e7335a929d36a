-- what: a reader that feeds load white space for ever
-- expect: exit=4 limit=cpu
load(function()
  return " "
end)
