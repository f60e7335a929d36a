-- what: a finalizer on an object that is alive when the runtime closes
-- expect: exit=1 stderr=__gc
_G.keep = setmetatable({}, {
  __gc = function()
    print("ESCAPED: ran at the end")
  end,
})
