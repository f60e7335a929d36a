-- what: an error whose __tostring returns fifty megabytes
-- expect: exit=1|4 stderr=xxxx limit=memory
error(setmetatable({}, {
  __tostring = function()
    return ("x"):rep(50000000)
  end,
}))
