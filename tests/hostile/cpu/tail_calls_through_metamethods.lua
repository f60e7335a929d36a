-- what: endless tail calls through __call
-- expect: exit=4 limit=cpu
local again = setmetatable({}, {
  __call = function(self)
    return self()
  end,
})
again()
