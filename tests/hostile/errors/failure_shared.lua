-- what: a thousand scopes raise the same error object again
-- expect: exit=1 stderr=shared
local err = setmetatable({}, {
  __tostring = function()
    return "shared"
  end,
})
for _ = 1, 1000 do
  local ok, again = pcall(task.scope, function(scope)
    scope:spawn(error, err)
  end)
  assert(not ok and rawequal(again, err))
end
error(err)
