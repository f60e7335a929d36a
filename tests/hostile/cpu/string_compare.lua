-- what: compare long equal strings, byte for byte
-- expect: exit=4 limit=cpu
local a = ("x"):rep(5000000) .. "a"
local b = ("x"):rep(5000000) .. "b"
while a < b do
end
