-- what: an error table that looks like a reached limit
-- expect: exit=1 stderr=forged
error({ kind = "limit", limit = "cpu", used = 2, allowed = 1, message = "forged" })
