-- what: an error whose __tostring raises
-- expect: exit=1 stderr=error object is a table value
error(setmetatable({}, {
  __tostring = function()
    error("no text for you")
  end,
}))
