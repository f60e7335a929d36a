-- what: a source of many jumps to one label, and one of many breaks, for ever
-- expect: exit=4 limit=cpu
local gotos = "do " .. ("do goto z end "):rep(32000) .. "::z:: end"
local breaks = "while true do " .. ("do break end "):rep(32000) .. "end"
while true do
  load(gotos)
  load(breaks)
end
