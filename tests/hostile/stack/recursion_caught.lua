-- what: endless recursion in a protected call, ten times
-- expect: exit=0|4 stdout=contained limit=cpu
-- note: deep stack
local function deeper(n)
  return 1 + deeper(n + 1)
end
for _ = 1, 10 do
  assert(not pcall(deeper, 1))
end
print("contained")
