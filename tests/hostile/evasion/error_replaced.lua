-- what: turn every error into another one on its way
-- expect: exit=4 limit=cpu
local function run()
  local ok = pcall(function()
    while true do
    end
  end)
  error(ok and "went well" or "something else", 0)
end
while true do
  xpcall(run, function()
    return nil
  end)
end
