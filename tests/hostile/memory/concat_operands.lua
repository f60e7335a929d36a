-- what: one concatenation of sixty strings of twenty megabytes: a single instruction
-- expect: exit=4 limit=memory
local join = load("local a = ... return " .. ("a .. "):rep(60) .. "a")
print(#join(("x"):rep(20000000)))
