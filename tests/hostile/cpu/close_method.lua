-- what: an endless loop in __close, when the block ends normally
-- expect: exit=4 limit=cpu
do
  local _ <close> = setmetatable({}, {
    __close = function()
      while true do
      end
    end,
  })
end
