-- what: empty the globals, then call the libraries: they must not fall back to real globals
-- expect: exit=0 stdout=contained
local env, task, sleep, event = _G, task, sleep, event
local print, pcall, coroutine = print, pcall, coroutine
for key in pairs(env) do
  env[key] = nil
end
local ok, result = pcall(function()
  local t = task.spawn(function()
    sleep(0)
    return task.timeout(1, task.scope, function(scope)
      scope:spawn(coroutine.wrap(sleep), 0)
      return "worked"
    end)
  end)
  event.emit("nobody")
  return t:join()
end)
print(ok and result == "worked" and "contained" or "ESCAPED: globals of the script are used")
