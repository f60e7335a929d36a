-- what: leave scopes open in coroutines that are forgotten
-- expect: exit=0 stdout=contained
for _ = 1, 1000 do
  local co = coroutine.create(function()
    task.scope(function()
      coroutine.yield("left")
    end)
  end)
  local _, _, value = pcall(coroutine.resume, co)
  if value == "left" then
    return print("ESCAPED: a scope is left open")
  end
end
print("contained")
