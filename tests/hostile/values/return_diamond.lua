-- what: a small table that unfolds to two to the power of forty
-- expect: exit=1|4 stderr=result limit=cpu|memory
local t = { "x" }
for _ = 1, 40 do
  t = { t, t }
end
return t
