-- what: carry two hundred thousand values into tasks, through joins, timeouts and races
-- expect: exit=0 stdout=contained
local t = {}
for i = 1, 200000 do
  t[i] = i
end
local function count(...)
  task.yield()
  return ...
end
assert(select("#", task.spawn(count, table.unpack(t)):join()) == #t)
assert(select("#", task.timeout(10, count, table.unpack(t))) == #t)
assert(select(
  "#",
  task.race({
    function()
      return count(table.unpack(t))
    end,
  })
) == #t)
print("contained")
