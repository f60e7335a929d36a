-- what: compute in a shielded scope
-- expect: exit=4 limit=cpu
task.shield(function()
  while true do
  end
end)
