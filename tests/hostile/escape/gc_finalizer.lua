-- what: set a finalizer, which would run outside every limit
-- expect: exit=0 stdout=contained
local tries = {
  function()
    setmetatable({}, { __gc = print })
  end,
  function()
    setmetatable({}, { __gc = true })
  end,
  function()
    load("setmetatable({}, {__gc = print})")()
  end,
  function()
    coroutine.wrap(setmetatable)({}, { __gc = print })
  end,
}
for i, try in ipairs(tries) do
  if pcall(try) then
    return print("ESCAPED: try " .. i)
  end
end
print("contained")
