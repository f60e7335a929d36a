-- A scope owns its tasks: it ends when they have, and the first failure cancels the rest.
-- Run: python -m scheduler --virtual-clock examples/02_scopes_and_failures.lua

local function download(name, seconds, fails)
  task.sleep(seconds)
  if fails then
    error(name .. ": connection lost", 0)
  end
  print(name .. " arrived")
end

print("-- all is well")
local total = task.scope(function(scope)
  scope:spawn(download, "a.zip", 1)
  scope:spawn(download, "b.zip", 2)
  return 2
end)
print(("%d files after %g s"):format(total, task.now()))

print("-- one fails: the slow one is cancelled, the error is raised here")
local ok, err = pcall(task.scope, function(scope)
  scope:spawn(download, "c.zip", 1)
  scope:spawn(download, "d.zip", 2, true)
  scope:spawn(download, "never.zip", 3600)
end)
print(ok, err, ("at %g s"):format(task.now()))

print("-- several fail in the same moment: one error lists them all")
ok, err = pcall(task.scope, function(scope)
  scope:spawn(download, "e.zip", 1, true)
  scope:spawn(download, "f.zip", 1, true)
end)
print(ok, err.kind, #err.errors)
print(err)

print("-- a failure you expect: join it, then it is yours")
task.scope(function(scope)
  local risky = scope:spawn(download, "g.zip", 1, true)
  print(pcall(risky.join, risky))
  print("g.zip: " .. risky:status())
end)
