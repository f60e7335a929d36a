-- what: end while holding a hundred thousand locks
-- expect: exit=1|4 stderr=ended while it held limit=cpu|memory
for _ = 1, 100000 do
  sync.mutex():lock()
end
