-- what: ask for more memory inside the lower limit
-- expect: exit=4 limit=memory
task.limit({ memory_bytes = 1 << 40 }, function()
  local t = {}
  while t do
    t[#t + 1] = { {} }
  end
end)
