-- Deadlines, cancellation that cannot be swallowed, and cleanup that may wait.
-- Run: python -m scheduler --virtual-clock examples/03_timeouts_and_cleanup.lua
-- Needs Lua 5.4 or 5.5 (`<close>`).

local function connection(name)
  print(name .. ": open")
  return setmetatable({}, {
    __close = function()
      -- A cancelled task cannot wait, unless it says that this wait is cleanup.
      task.shield(task.sleep, 0.5)
      print(("%s: closed at %.1f s"):format(name, task.now()))
    end,
  })
end

-- Nested: the inner calls know nothing of the deadline around them.
local function stubborn()
  local _ <close> = connection("db")
  while true do
    -- pcall catches errors. A cancellation is not an error: it goes on.
    local ok, err = pcall(task.sleep, 10)
    print("woke up", ok, err)
  end
end

print("result:", task.timeout(25, stubborn))
print(("now %.1f s"):format(task.now()))

-- In time: the values come back as if nothing were around them.
print(
  "result:",
  task.timeout(25, function()
    task.sleep(1)
    return "quick", "enough"
  end)
)

-- One task cancels another.
local worker = task.spawn(stubborn)
task.sleep(1)
worker:cancel("no longer needed")
local ok, err = pcall(worker.join, worker)
print(worker:status(), ok, err, err.kind)
