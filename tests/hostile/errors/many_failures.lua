-- what: the cleanup of five thousand cancelled tasks fails
-- expect: exit=1|4 stderr=5001 tasks failed limit=memory
for i = 1, 5000 do
  task.spawn(function()
    local _ <close> = setmetatable({}, {
      __close = function()
        error("failure " .. i, 0)
      end,
    })
    task.sleep(1000)
  end)
end
task.yield()
error("the first", 0)
