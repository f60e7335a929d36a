-- what: cleanup that fails when a timeout cancels its scope
-- expect: exit=1 stderr=cleanup failed
task.timeout(0.01, function()
  task.spawn(function()
    local _ <close> = setmetatable({}, {
      __close = function()
        error("cleanup failed", 0)
      end,
    })
    task.sleep(1000)
  end)
end)
