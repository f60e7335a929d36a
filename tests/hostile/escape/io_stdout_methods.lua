-- what: use methods of the standard output other than write
-- expect: exit=0 stdout=contained
for _, name in ipairs({ "close", "lines", "read", "seek", "setvbuf", "flush", "__gc", "__close" }) do
  if name ~= "flush" and name ~= "setvbuf" and io.stdout[name] ~= nil then
    return print("ESCAPED: io.stdout." .. name)
  end
end
print("contained")
