-- what: an iterator that never ends
-- expect: exit=4 limit=cpu
for _ in
  function()
    return 1
  end
do
end
