-- what: captures and optional items that backtrack
-- expect: exit=4 limit=cpu
print(("ab"):rep(200):match("^(.-)(.-)(.-)(.-)(.-)(.-)(.-)(.-)c$"))
