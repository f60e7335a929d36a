-- what: read the kernel's record of a scope
-- expect: exit=0 stdout=contained
task.scope(function(scope)
  scope:spawn(task.yield)
  for _, name in ipairs({ "owner", "parent", "first", "last", "errors", "count", "waited" }) do
    if scope[name] ~= nil then
      return print("ESCAPED: scope." .. name)
    end
  end
  local meta = getmetatable(scope)
  print(type(meta) == "table" and "ESCAPED: the metatable of scopes" or "contained")
end)
