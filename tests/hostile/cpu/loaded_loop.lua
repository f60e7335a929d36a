-- what: an endless loop in loaded code
-- expect: exit=4 limit=cpu
load("while true do end")()
