-- what: cancel the runtime's root scope through an object whose parent it is
-- expect: exit=0 stdout=contained
local ok = pcall(function()
  local home = task.current().home
  home:cancel("by the script")
  task.sleep(0)
end)
print(ok and "ESCAPED: the root scope" or "contained")
