-- what: a suspended coroutine whose __close loops, to be closed with the rest
-- expect: exit=4 limit=cpu
local co = coroutine.create(function()
  local _ <close> = setmetatable({}, {
    __close = function()
      while true do
      end
    end,
  })
  coroutine.yield()
end)
coroutine.resume(co)
coroutine.close(co)
