-- what: closing a coroutine closes another one, ten thousand deep
-- expect: exit=0|1 stdout=contained stderr=overflow
local last
for _ = 1, 10000 do
  local inner = last
  last = coroutine.create(function()
    local _ <close> = setmetatable({}, {
      __close = function()
        if inner then
          coroutine.close(inner)
        end
      end,
    })
    coroutine.yield()
  end)
  coroutine.resume(last)
end
coroutine.close(last)
print("contained")
