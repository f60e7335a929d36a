-- what: an error table that brings a traceback of a megabyte
-- expect: exit=1 stderr=brought
error({ kind = "x", message = "brought", traceback = ("frame\n"):rep(200000) })
