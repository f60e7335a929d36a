-- what: end the process with success when the kill unwinds
-- expect: exit=4 limit=cpu
local _ <close> = setmetatable({}, {
  __close = function()
    local exit = os.exit or error
    exit(0)
  end,
})
while true do
end
