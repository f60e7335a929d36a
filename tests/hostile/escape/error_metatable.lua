-- what: change how all errors of the runtime look through the metatable of one
-- expect: exit=0 stdout=contained
local t = task.spawn(task.sleep, 10)
t:cancel()
local _, err = pcall(t.join, t)
local meta = getmetatable(err)
print(type(meta) == "table" and "ESCAPED: the metatable of errors" or "contained")
