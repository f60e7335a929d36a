-- what: full collections of a large heap, each one C call
-- expect: exit=4 limit=cpu
local heap = {}
for i = 1, 300000 do
  heap[i] = { i }
end
while heap do
  collectgarbage("step", 1000000)
end
