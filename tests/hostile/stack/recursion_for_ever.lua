-- what: overflow the stack and catch it for ever
-- expect: exit=4 limit=cpu
local function deeper(n)
  return 1 + deeper(n + 1)
end
while true do
  pcall(deeper, 1)
end
