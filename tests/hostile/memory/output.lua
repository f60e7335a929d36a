-- what: write large pieces to the standard output
-- expect: exit=4 limit=cpu|output|memory
local piece = ("x"):rep(1000000)
while true do
  io.write(piece)
end
