-- Three tasks that take turns. Nothing here blocks: a sleep lets the others run.
-- Run: python -m scheduler --virtual-clock examples/01_hello_tasks.lua

local function greet(name, pause)
  for i = 1, 3 do
    print(("%.1f s  %s says hello %d"):format(task.now(), name, i))
    task.sleep(pause)
  end
  return name .. " is done"
end

local slow = task.spawn(greet, "Ada", 1.0)
local quick = task.spawn(greet, "Bob", 0.4)

print("both are " .. slow:status() .. ", neither has begun")
print(quick:join())
print(slow:join())
print(("all together took %.1f s"):format(task.now()))
