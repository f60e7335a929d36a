-- what: the closing value of a for loop goes on
-- expect: exit=4 limit=cpu
local function loop()
  while true do
  end
end
local closer = setmetatable({}, { __close = loop })
for _ in loop, nil, nil, closer do
end
