-- what: replace base functions by spies and wait for library code to call them with its values
-- expect: exit=0 stdout=contained
local print, pairs, type_of, spied = print, pairs, type, nil
local kept = { print = true, task = true, event = true, _G = true, sleep = true }
for name, value in pairs(_G) do
  if type_of(value) == "function" and not kept[name] then
    _G[name] = function(...)
      spied = name
      return value(...)
    end
  end
end
task.spawn(task.sleep, 0):join()
task.scope(function(scope)
  scope:spawn_with({ name = "n", timeout = 1 }, task.yield)
end)
task.map({ 1, 2 }, task.yield)
print(spied and "ESCAPED: the library called the script's " .. spied or "contained")
