-- what: __tostring that calls tostring
-- expect: exit=1 stderr=overflow
print(setmetatable({}, {
  __tostring = function(self)
    return tostring(self)
  end,
}))
