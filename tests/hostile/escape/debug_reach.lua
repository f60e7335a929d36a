-- what: use any debug function that looks into other functions
-- expect: exit=0 stdout=contained
for name in pairs(debug) do
  if name ~= "traceback" then
    return print("ESCAPED: debug." .. name)
  end
end
print("contained")
