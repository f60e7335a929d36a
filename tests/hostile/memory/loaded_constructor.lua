-- what: compile one huge table constructor
-- expect: exit=4 limit=cpu|memory
local items = {}
for i = 1, 3000000 do
  items[i] = i + 0.5
end
print(load("return {" .. table.concat(items, ",") .. "}"))
