-- what: compute past the end of the time
-- expect: exit=124
-- options: --timeout 0.3
while true do
  pcall(function()
    while true do
    end
  end)
end
