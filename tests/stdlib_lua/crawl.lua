-- Walk everything that two environments lead to, as a script could (`next`, indexing, metatables), and more:
-- raw metatables and their fields, which a script does not get. Returns how many tables they share, and how
-- many the first has. Run outside the sandbox.

local first, second, getmetatable = ...
local function reach(root)
  local seen, todo = {}, { root }
  while #todo > 0 do
    local value = table.remove(todo)
    if type(value) == "table" and not seen[value] then
      seen[value] = true
      for key, item in next, value do
        todo[#todo + 1], todo[#todo + 2] = key, item
      end
      todo[#todo + 1] = getmetatable(value)
    end
  end
  return seen
end
local ours, theirs, shared, n = reach(first), reach(second), 0, 0
for value in pairs(ours) do
  n = n + 1
  shared = shared + (theirs[value] and 1 or 0)
end
return shared, n
