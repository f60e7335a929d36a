-- what: replace functions of the task library and see whether the others call them
-- expect: exit=0 stdout=contained
local all, print, spied = task.all, print, nil
for name in pairs(task) do
  task[name] = function(...)
    spied = name .. " with " .. select("#", ...) .. " values"
  end
end
all({
  function()
    return 1
  end,
})
print(spied and "ESCAPED: " .. spied or "contained")
