-- what: replace the kill by an error of __close, at every level
-- expect: exit=4 limit=cpu
local meta = {
  __close = function()
    error("not killed", 0)
  end,
}
local function run()
  local _ <close> = setmetatable({}, meta)
  while true do
  end
end
while true do
  pcall(run)
end
