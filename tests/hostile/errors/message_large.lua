-- what: a message of thirty megabytes
-- expect: exit=1|4 stderr=xxxx limit=memory
error(("x"):rep(30000000))
