-- what: write more than an inner limit allows, in protected calls
-- expect: exit=0 stdout=contained
local result, err = task.limit({ output_bytes = 1000 }, function()
  while true do
    pcall(io.write, (" "):rep(99), "\n")
  end
end)
print(result == nil and err.kind == "limit" and "contained" or "ESCAPED: " .. tostring(result))
