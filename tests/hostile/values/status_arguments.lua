-- what: methods of tasks called on other values
-- expect: exit=0 stdout=contained
local t = task.current()
for _, name in ipairs({ "join", "cancel", "status", "info" }) do
  for _, value in ipairs({ 1, "x", {}, print, coroutine.create(print), task, true }) do
    if pcall(t[name], value) then
      return print("ESCAPED: " .. name .. " took a " .. type(value))
    end
  end
end
print("contained")
