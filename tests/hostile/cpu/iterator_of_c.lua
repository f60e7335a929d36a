-- what: iterate with C functions alone
-- expect: exit=4 limit=cpu
for _ in rawequal, 1, 1 do
end
