-- what: an error whose __tostring returns a table
-- expect: exit=1 stderr=error object is a table value
error(setmetatable({}, {
  __tostring = function()
    return {}
  end,
}))
