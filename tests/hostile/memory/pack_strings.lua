-- what: pack fifty large strings into one
-- expect: exit=4 limit=memory
local s = ("x"):rep(10000000)
local arguments = {}
for i = 1, 50 do
  arguments[i] = s
end
print(#string.pack(("z"):rep(50), table.unpack(arguments)))
