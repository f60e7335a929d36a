-- what: hand a table that looks like a task to the methods of tasks
-- expect: exit=0 stdout=contained
local real = task.current()
local forged = setmetatable({ id = 1, name = "forged", state = "done", on = { n = 1, "forged" } }, {
  __name = "task",
  __index = real,
})
for _, name in ipairs({ "join", "cancel", "status", "info" }) do
  local ok, result = pcall(real[name], forged)
  if ok then
    return print("ESCAPED: " .. name .. " took it: " .. tostring(result))
  end
end
print("contained")
