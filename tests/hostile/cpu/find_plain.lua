-- what: a plain search that compares a long needle everywhere
-- expect: exit=4 limit=cpu
local hay = ("a"):rep(1000000)
local needle = ("a"):rep(500000) .. "b"
while not hay:find(needle, 1, true) do
end
