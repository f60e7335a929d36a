-- what: a short template of many strings makes a thirty-fold string
-- expect: exit=4 limit=memory
local long = ("x"):rep(20000000)
local list = {}
for i = 1, 30 do
  list[i] = long
end
string.format(("%s"):rep(30), table.unpack(list))
