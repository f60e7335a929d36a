-- what: frozen C stacks that end in the order opposite to their beginning
-- expect: exit=0 stdout=contained
local ended = {}
for i = 1, 50 do
  task.spawn(function()
    local _ = ("x"):gsub("x", function()
      task.sleep((51 - i) / 1000)
      ended[#ended + 1] = i
    end)
  end)
end
task.sleep(0.2)
print(#ended == 50 and "contained" or "ESCAPED: lost " .. 50 - #ended)
