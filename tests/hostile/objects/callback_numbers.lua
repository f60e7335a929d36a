-- what: cancel callbacks by guessed numbers
-- expect: exit=0 stdout=contained
local callback = require("callback")
local cancelled = 0
for id = -1000, 1000 do
  if callback.cancel(id) then
    cancelled = cancelled + 1
  end
end
callback.cancel(0 / 0)
callback.cancel(math.huge)
print(cancelled == 0 and "contained" or "ESCAPED")
