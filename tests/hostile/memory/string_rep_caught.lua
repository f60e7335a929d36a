-- what: ask for a gigabyte in a protected call, for ever
-- expect: exit=4 limit=memory
while true do
  pcall(string.rep, "x", 1 << 30)
end
