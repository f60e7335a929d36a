-- what: print a value whose __tostring returns no string
-- expect: exit=1 stderr='__tostring' must return a string
print(setmetatable({}, {
  __tostring = function()
    return {}
  end,
}))
