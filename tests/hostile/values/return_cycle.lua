-- what: hand a table that contains itself to Python
-- expect: exit=1 stderr=contains itself
local t = {}
t.t = t
return t
