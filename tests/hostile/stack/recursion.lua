-- what: endless recursion
-- expect: exit=1 stderr=stack overflow
local function deeper(n)
  return 1 + deeper(n + 1)
end
deeper(1)
