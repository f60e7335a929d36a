-- what: an error that lists itself among its errors
-- expect: exit=1 stderr=listed
local err = { kind = "failures", message = "listed" }
err.errors = { err, err, err }
err.cause, err.parts = err, err
error(err)
