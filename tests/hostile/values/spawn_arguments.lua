-- what: spawn what cannot be called
-- expect: exit=0 stdout=contained
local values = { 1, "print", {}, setmetatable({}, { __call = 1 }), coroutine.create(print), true }
for _, value in ipairs(values) do
  local ok, t = pcall(task.spawn, value)
  if ok and pcall(t.join, t) then
    return print("ESCAPED: spawned a " .. type(value))
  end
end
print(pcall(task.spawn) and "ESCAPED: spawned nothing" or "contained")
