-- what: replace functions of the string and table libraries by spies
-- expect: exit=0 stdout=contained
local print, spied = print, nil
for _, library in ipairs({ string, table, math, coroutine, utf8 }) do
  for name, value in pairs(library) do
    if type(value) == "function" then
      library[name] = function(...)
        spied = name
        return value(...)
      end
    end
  end
end
task.spawn(task.sleep, 0):join()
tostring(task.current())
pcall(task.sleep, {})
task.all({ task.yield })
print(spied and "ESCAPED: the library called the script's " .. spied or "contained")
