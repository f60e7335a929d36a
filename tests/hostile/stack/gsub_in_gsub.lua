-- what: gsub callbacks in gsub callbacks
-- expect: exit=1 stderr=overflow
local function deeper()
  return (("x"):gsub("x", deeper))
end
deeper()
