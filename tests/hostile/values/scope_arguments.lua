-- what: methods of scopes called on other values
-- expect: exit=0 stdout=contained
local escaped
task.scope(function(scope)
  for _, name in ipairs({ "spawn", "spawn_with", "cancel" }) do
    for _, value in ipairs({ 1, "x", {}, print, task.current(), task }) do
      escaped = escaped or pcall(scope[name], value, task.yield, task.yield) and name
    end
  end
end)
print(escaped and "ESCAPED: " .. escaped or "contained")
