-- what: a failing __close after a failing body
-- expect: exit=1 stderr=second
local _ <close> = setmetatable({}, {
  __close = function()
    error("second")
  end,
})
error("first")
