-- what: string.format with fifty large arguments
-- expect: exit=4 limit=memory
local s = ("x"):rep(10000000)
local arguments = {}
for i = 1, 50 do
  arguments[i] = s
end
print(#("%s"):rep(50):format(table.unpack(arguments)))
