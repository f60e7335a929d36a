-- what: limits inside limits, as deep as they go, and a loop inside
-- expect: exit=4 limit=cpu
local function nested()
  local ok = pcall(task.limit, { cpu_s = 100 }, nested)
  while not ok do
  end
end
nested()
