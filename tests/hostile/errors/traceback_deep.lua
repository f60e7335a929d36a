-- what: an error at the bottom of a deep recursion
-- expect: exit=1 stderr=bottom
local function deep(n)
  if n == 0 then
    error("bottom")
  end
  return 1 + deep(n - 1)
end
deep(100000)
