-- what: list the fields of a task with pairs and next
-- expect: exit=0 stdout=contained
local t = task.spawn(task.sleep, 0.01)
for key, value in pairs(t) do
  if type(value) ~= "string" and type(value) ~= "number" then
    return print("ESCAPED: " .. tostring(key) .. " is a " .. type(value))
  end
end
local key = next(t)
print(key ~= nil and key ~= "id" and key ~= "name" and "ESCAPED: a raw field" or "contained")
