-- what: smuggle __gc past the check with __index, __pairs and a metatable of the metatable
-- expect: exit=0 stdout=contained
local ran
local function finalizer()
  ran = true
end
local meta = setmetatable({}, { __index = { __gc = finalizer } })
setmetatable({}, meta)
local shy = setmetatable({ __gc = finalizer }, {
  __index = function() end,
  __pairs = function()
    return next, {}
  end,
  __metatable = "locked",
})
local ok = pcall(setmetatable, {}, shy)
for _ = 1, 200 do
  collectgarbage("step")
end
print((ok or ran) and "ESCAPED: a finalizer" or "contained")
