-- what: replacements from a table that invents them
-- expect: exit=4 limit=memory
local large = ("y"):rep(1000000)
local inventor = setmetatable({}, {
  __index = function()
    return large
  end,
})
print(#(("x"):rep(1000):gsub("x", inventor)))
