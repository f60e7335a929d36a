-- what: replace cancellation by an error of __close in a loop
-- expect: exit=0 stdout=contained
local function replaced()
  local _ <close> = setmetatable({}, {
    __close = function()
      error("replaced", 0)
    end,
  })
  task.sleep(1000)
end
local t = task.spawn(function()
  while true do
    pcall(replaced)
  end
end)
task.yield()
t:cancel()
pcall(t.join, t)
print(t:status() == "cancelled" and "contained" or "ESCAPED: " .. t:status())
