-- what: an error whose __tostring never returns
-- expect: exit=1|4 stderr=error object limit=cpu
error(setmetatable({}, {
  __tostring = function()
    while true do
      pcall(function()
        while true do
        end
      end)
    end
  end,
}))
