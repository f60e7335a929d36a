-- what: long negated sets, each compared with every byte
-- expect: exit=4 limit=cpu
local set = "[^" .. ("b"):rep(50000) .. "]"
print(("a"):rep(50000):find(set .. "*" .. set .. "*c"))
