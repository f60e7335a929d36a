-- what: catch "not enough memory" and go on with smaller pieces
-- expect: exit=4 limit=memory
local kept, size = {}, 1 << 26
while true do
  local ok = pcall(function()
    kept[#kept + 1] = ("x"):rep(size) .. #kept
  end)
  if not ok and size > 1 then
    size = size // 2
  end
end
