-- what: put another metatable on a task and on a scope
-- expect: exit=0 stdout=contained
local escaped
task.scope(function(scope)
  for _, object in ipairs({ scope, task.current() }) do
    escaped = escaped or pcall(setmetatable, object, { __index = _G })
  end
end)
print(escaped and "ESCAPED: a new metatable" or "contained")
