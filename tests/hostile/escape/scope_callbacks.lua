-- what: replace the kernel's callbacks on a scope (on_deadline, cancel) through the object
-- expect: exit=0 stdout=contained
local called
local result, reason = task.timeout(0.02, function()
  task.scope(function(scope)
    for _, name in ipairs({ "on_deadline", "on_watched_end", "cancel" }) do
      pcall(rawset, scope, name, function()
        called = name
      end)
    end
    task.sleep(1)
  end)
end)
local right = result == nil and reason == "timeout" and not called
print(right and "contained" or "ESCAPED: " .. tostring(called))
