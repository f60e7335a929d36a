-- what: a recursion whose argument list grows
-- expect: exit=1|4 stderr=stack overflow limit=memory
local function grow(...)
  return 1 + grow(1, 2, 3, 4, 5, 6, 7, 8, ...)
end
grow()
