-- what: change _ENV and see what load falls back to
-- expect: exit=0 stdout=contained
local real, load, print, pcall = _ENV, load, print, pcall
do
  local _ENV = {} -- luacheck: ignore
  local ok, env = pcall(load("return _ENV"))
  print((ok and env ~= nil and env ~= real) and "ESCAPED: foreign environment" or "contained")
end
