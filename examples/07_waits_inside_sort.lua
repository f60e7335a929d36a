-- Lua refuses to yield inside table.sort, string.gsub and metamethods called from C. Waiting there works
-- all the same: the task's C stack is set aside, and the other tasks go on.
-- Run: python -m scheduler --virtual-clock examples/07_waits_inside_sort.lua

local compared = 0

local function ask_which_is_better(a, b)
  compared = compared + 1
  task.sleep(1) -- an opinion takes a second
  return a < b
end

local beats = 0
task.spawn_with({ name = "heartbeat", background = true }, function()
  while true do
    task.sleep(1)
    beats = beats + 1
  end
end)

local fruit = { "pear", "fig", "apple", "date" }
table.sort(fruit, ask_which_is_better)
print(table.concat(fruit, " "))
print(("the heart beat %s while sort waited"):format(beats >= compared - 1 and "on" or "NOT"))

local text = ("$NAME has $COUNT new messages"):gsub("%$(%u+)", function(key)
  task.sleep(0.5) -- as if from a database
  return ({ NAME = "Ada", COUNT = "3" })[key]
end)
print(text)

local slow = setmetatable({}, {
  __tostring = function()
    task.sleep(2)
    return "a value that prints slowly"
  end,
})
print(slow)

-- Errors travel through the sort as usual.
print(pcall(table.sort, { 3, 1, 2 }, function()
  task.sleep(1)
  error("cannot compare", 0)
end))
