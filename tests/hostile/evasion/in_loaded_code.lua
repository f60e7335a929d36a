-- what: loaded code that catches and loads itself again
-- expect: exit=4 limit=cpu
_G.source = "while true do pcall(load(source)) end"
pcall(load("while true do pcall(load('while true do end')) end"))
while true do
  pcall(load(_G.source))
end
