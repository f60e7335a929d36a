-- what: write what is no string, to things that are no files
-- expect: exit=0 stdout=contained
local values = { {}, print, true, coroutine.create(print), task.current() }
for i, value in ipairs(values) do
  if pcall(io.write, value) or pcall(io.stdout.write, value, "x") then
    return print("ESCAPED: value " .. i)
  end
end
print("contained")
