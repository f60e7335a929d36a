-- what: let the kill meet a full stack
-- expect: exit=4 limit=cpu
local function deeper(n)
  for _ = 1, 100 do
  end
  return 1 + (pcall(deeper, n + 1) and 1 or deeper(n + 1))
end
while true do
  pcall(deeper, 1)
end
