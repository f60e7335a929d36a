-- what: an endless loop with a call in its condition
-- expect: exit=4 limit=cpu
repeat
until tonumber("x")
