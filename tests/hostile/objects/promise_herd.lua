-- what: a hundred thousand handlers of one promise
-- expect: exit=0|4 stdout=contained limit=cpu|memory
local settle
local p = promise.new(function(resolve)
  settle = resolve
end)
local n = 0
for _ = 1, 100000 do
  p:next(function()
    n = n + 1
  end)
end
settle()
task.sleep(0.1)
while n < 100000 do
  task.yield()
end
print("contained")
