-- what: ranges and positions that overflow
-- expect: exit=0 stdout=contained
local first, last = math.mininteger, math.maxinteger
assert(not pcall(table.unpack, {}, first, last))
assert(not pcall(table.move, {}, first, last, 1))
assert(not pcall(table.move, {}, 1, last, 2))
assert(not pcall(table.insert, {}, 5, "x") and not pcall(table.insert, {}, 1, 2, 3))
assert(not pcall(table.remove, { 1 }, 7))
assert(not pcall(table.concat, { {} }) and not pcall(table.concat, {}, "", last - 1, last))
assert(not pcall(
  table.sort,
  setmetatable({}, {
    __len = function()
      return last
    end,
  })
))
print("contained")
