-- what: %q makes two bytes of one, slowly, in one call
-- expect: exit=1|4 limit=cpu|memory
local s = ("\0"):rep(30000000)
print(#("%q%q%q"):format(s, s, s))
