-- what: a table whose every metamethod fails, handed to Python
-- expect: exit=0|1 stdout=contained stderr=result
local function fail()
  error("touched")
end
local names = { "__index", "__len", "__pairs", "__tostring", "__eq", "__name", "__call", "__lt" }
local meta = {}
for _, name in ipairs(names) do
  meta[name] = fail
end
print("contained")
return setmetatable({ 1, 2, x = 3 }, meta)
