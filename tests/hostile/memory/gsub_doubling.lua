-- what: a replacement that names the match twice, again and again
-- expect: exit=4 limit=cpu|memory
local s = "x"
while true do
  s = s:gsub(".+", "%0%0")
end
