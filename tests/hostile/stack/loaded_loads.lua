-- what: loaded code that loads itself
-- expect: exit=1|4 stderr=overflow limit=memory|cpu
_G.again = "local fn = load(again) return (fn())"
load(_G.again)()
