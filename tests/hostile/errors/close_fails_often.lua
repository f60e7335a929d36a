-- what: a hundred failing __close, each replacing the error before
-- expect: exit=1 stderr=number 1
local function open(n)
  local _ <close> = setmetatable({}, {
    __close = function()
      error("number " .. n, 0)
    end,
  })
  if n < 100 then
    open(n + 1)
  end
end
open(1)
