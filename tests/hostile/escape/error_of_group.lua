-- what: reach shared tables through the error that lists several failures
-- expect: exit=0 stdout=contained
local ok, err = pcall(task.scope, function(scope)
  scope:spawn(error, "one", 0)
  scope:spawn(error, "two", 0)
end)
local meta = getmetatable(err)
local foreign = type(meta) == "table" or err.task or err.parts or err.site
print((ok or foreign) and "ESCAPED: more than kind, message and errors" or "contained")
