-- what: handlers that start protected loops of their own
-- expect: exit=4 limit=cpu
local function loop()
  while true do
  end
end
local function handler()
  xpcall(loop, handler)
  loop()
end
while true do
  xpcall(loop, handler)
end
