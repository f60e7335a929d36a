-- what: a protected call in a protected call, until C's stack ends
-- expect: exit=0 stdout=contained
local depth = 0
local function tower()
  depth = depth + 1
  return pcall(tower)
end
tower()
print(depth > 10 and "contained")
