-- what: too many locals, upvalues and labels
-- expect: exit=0 stdout=contained
local names, labels = {}, {}
for i = 1, 100000 do
  names[i], labels[i] = "n" .. i, "::l" .. i .. "::"
end
local fn = load("local " .. table.concat(names, ",") .. " = 1")
load(table.concat(labels, " "))
print(fn and "ESCAPED: no limit" or "contained")
