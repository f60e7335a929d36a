-- what: scopes inside scopes until C's stack ends
-- expect: exit=1 stderr=overflow
local function deeper()
  return (task.scope(deeper))
end
deeper()
