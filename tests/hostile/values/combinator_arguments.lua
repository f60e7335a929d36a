-- what: lists for the combinators that are none
-- expect: exit=0 stdout=contained
local lists = { 1, "x", print, { 1 }, { {} }, { "x" }, { task.yield, 1 } }
for i, list in ipairs(lists) do
  if pcall(task.all, list) or pcall(task.race, list) then
    return print("ESCAPED: list " .. i)
  end
end
for _, limit in ipairs({ 0, -1, 0 / 0, "x", {}, 0.5 }) do
  if pcall(task.map, { 1, 2 }, task.yield, { limit = limit }) then
    return print("ESCAPED: limit " .. tostring(limit))
  end
end
print("contained")
