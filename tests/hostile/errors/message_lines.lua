-- what: a message of a hundred thousand lines
-- expect: exit=1 stderr=line
error(("line\n"):rep(100000))
