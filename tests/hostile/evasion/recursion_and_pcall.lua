-- what: an exponential tower of protected calls
-- expect: exit=4 limit=cpu
local function tower(n)
  pcall(tower, n + 1)
  pcall(tower, n + 1)
end
while true do
  tower(1)
end
