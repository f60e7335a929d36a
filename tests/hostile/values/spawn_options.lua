-- what: options of the wrong types, with metamethods and huge names
-- expect: exit=0 stdout=contained
local options = {
  "options",
  { name = 1 },
  { priority = "urgent" },
  { priority = 1 },
  { timeout = 0 / 0 },
  { timeout = "1" },
  { background = 1 },
  { [{}] = 1 },
  { [1] = "name" },
  setmetatable({}, {
    __pairs = function()
      error("touched")
    end,
  }),
}
for i, option in ipairs(options) do
  if i < #options and pcall(task.spawn_with, option, task.yield) then
    return print("ESCAPED: options " .. i)
  end
end
pcall(task.spawn_with, options[#options], task.yield)
print("contained")
