-- what: an error whose fields cannot be read
-- expect: exit=1 stderr=error object is a table value
error(setmetatable({}, {
  __index = function(_, key)
    error("read " .. tostring(key))
  end,
}))
