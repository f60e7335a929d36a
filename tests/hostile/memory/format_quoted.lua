-- what: %q makes two bytes of one, slowly, in one call
-- expect: exit=4 limit=memory|cpu
local s = ("\0"):rep(30000000)
print(#("%q%q%q"):format(s, s, s))
