-- what: a table with __call as a task sees what the kernel calls it with
-- expect: exit=0 stdout=contained
local count
local spy = setmetatable({}, {
  __call = function(_, ...)
    count = select("#", ...)
  end,
})
task.spawn(spy):join()
print(count == 0 and "contained" or "ESCAPED: called with " .. tostring(count) .. " values")
