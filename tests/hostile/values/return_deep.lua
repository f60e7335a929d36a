-- what: hand a table that is a hundred thousand levels deep to Python
-- expect: exit=1 stderr=nested deeper
local t = {}
for _ = 1, 100000 do
  t = { t }
end
return t
