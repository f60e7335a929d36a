-- what: get the metatable of all tasks and add a method
-- expect: exit=0 stdout=contained
local meta = getmetatable(task.current())
print(type(meta) == "table" and "ESCAPED: the metatable of tasks" or "contained")
