-- what: error fields of the wrong types
-- expect: exit=1 stderr=error object is a table value
error({ kind = {}, message = print, traceback = 1, errors = 5, task = true })
