-- what: a metatable on the globals records what library code looks up in them
-- expect: exit=0 stdout=contained
local seen = {}
setmetatable(_G, {
  __index = function(_, key)
    seen[#seen + 1] = tostring(key)
  end,
  __newindex = function(_, key)
    seen[#seen + 1] = tostring(key)
  end,
})
task.spawn(task.sleep, 0):join()
task.timeout(1, task.yield)
task.all({ task.yield, task.yield })
event.emit("nobody", {})
pcall(require, "nothing")
setmetatable(_G, nil)
print(#seen > 0 and "ESCAPED: looked up " .. table.concat(seen, ", ") or "contained")
