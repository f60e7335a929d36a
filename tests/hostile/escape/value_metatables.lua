-- what: give nil, numbers, functions and coroutines a metatable
-- expect: exit=0 stdout=contained
local values = { 1, true, print, coroutine.create(print) }
for i, value in ipairs(values) do
  if getmetatable(value) or pcall(setmetatable, value, { __index = _G }) then
    return print("ESCAPED: value " .. i)
  end
end
print("contained")
