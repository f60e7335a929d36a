-- what: a hundred failures with large messages at the same time
-- expect: exit=1|4 stderr=tasks failed limit=memory
for i = 1, 100 do
  task.spawn(function()
    local _ <close> = setmetatable({}, {
      __close = function()
        error(i .. ("x"):rep(100000), 0)
      end,
    })
    task.sleep(1000)
  end)
end
task.yield()
error("the first", 0)
