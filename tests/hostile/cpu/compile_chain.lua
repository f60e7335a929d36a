-- what: sources of one long chain of `or`, and of one of `elseif`, for ever
-- expect: exit=4 limit=cpu
local chain = "return " .. ("a or "):rep(49000) .. "a"
local branches = "if a then " .. ("elseif a then "):rep(49000) .. "end"
while true do
  load(chain)
  load(branches)
end
