-- what: error tables that look like a deadlock, a timeout and an exit
-- expect: exit=1 stderr=forged
local kinds = { "exit", "cancelled", "timeout", "failures", "deadlock", "closed" }
local ended = 0
for _, kind in ipairs(kinds) do
  local t = task.spawn(error, { kind = kind, message = "forged", code = 0, errors = {} })
  if not pcall(t.join, t) then
    ended = ended + 1
  end
end
assert(ended == #kinds)
error({ kind = "exit", code = 0, message = "forged" })
