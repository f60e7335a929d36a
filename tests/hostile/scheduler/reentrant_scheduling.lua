-- what: wait inside every kind of metamethod at once
-- expect: exit=0 stdout=contained
local function wait()
  task.yield()
  return 1
end
local t = setmetatable({}, {
  __index = wait,
  __len = wait,
  __add = wait,
  __unm = wait,
  __concat = wait,
  __call = wait,
  __tostring = function()
    task.yield()
    return "t"
  end,
})
for _ = 1, 50 do
  task.spawn(function()
    assert(t.x == 1 and #t == 1 and t + 1 == 1 and -t == 1 and t .. "" == 1 and t() == 1)
    assert(tostring(t) == "t" and table.concat({ ("x"):gsub("x", wait) }) == "11")
  end)
end
print("contained")
