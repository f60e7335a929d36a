-- what: a chain of promises without handlers, as long as the memory allows
-- expect: exit=0|4 stdout=contained limit=cpu|memory
local settle
local first = promise.new(function(resolve)
  settle = resolve
end)
local p = first
for _ = 1, 100000 do
  p = p:next()
end
settle("contained")
print(p:await())
