-- what: lengths that are no integers
-- expect: exit=0 stdout=contained
for _, length in ipairs({ "10", 1.5, 0 / 0, {}, "x" }) do
  local t = setmetatable({}, {
    __len = function()
      return length
    end,
  })
  pcall(table.concat, t)
  pcall(table.sort, t)
  pcall(task.all, t)
  pcall(task.map, t, task.yield)
  if length ~= "10" and (pcall(table.insert, t, "x") or pcall(table.unpack, t)) then
    return print("ESCAPED: length " .. tostring(length))
  end
end
print("contained")
