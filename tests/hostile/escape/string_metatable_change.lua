-- what: put metamethods on all strings
-- expect: exit=0 stdout=contained
local tries = {
  function()
    getmetatable("").__add = function()
      return 42
    end
  end,
  function()
    setmetatable("", {})
  end,
  function()
    rawset(getmetatable(""), "__call", print)
  end,
  function()
    debug.setmetatable("", {})
  end,
}
for i, try in ipairs(tries) do
  if pcall(try) then
    return print("ESCAPED: try " .. i)
  end
end
print("contained")
