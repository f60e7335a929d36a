-- what: an error whose __tostring raises an error of the same kind
-- expect: exit=1 stderr=error object is a table value
local meta = {}
function meta.__tostring(self)
  error(setmetatable({ self }, meta))
end
error(setmetatable({}, meta))
