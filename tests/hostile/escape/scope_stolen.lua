-- what: use a task's scope from outside after its end
-- expect: exit=0 stdout=contained
local stolen
task.scope(function(scope)
  stolen = scope
end)
local ran
local ok = pcall(stolen.spawn, stolen, function()
  ran = true
end)
task.sleep(0.01)
print((ok or ran) and "ESCAPED: spawned in a dead scope" or "contained")
