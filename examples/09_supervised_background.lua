-- A periodic job in the background, watched by a supervisor that starts it again when it fails. It ends by
-- itself when the real work has: background tasks do not keep a scope open.
-- Run: python -m scheduler --virtual-clock examples/09_supervised_background.lua

local function log(...)
  print(("%4.1f s"):format(task.now()), ...)
end

local runs = 0
local function refresh_cache()
  while true do
    task.sleep(2)
    runs = runs + 1
    if runs == 2 or runs == 3 then
      error("cache server does not answer", 0)
    end
    log("cache refreshed")
  end
end

-- The job runs in a scope of its own: its failure ends that scope and arrives here as an error.
local function supervise(job, name)
  local pause = 1
  while true do
    local began = task.now()
    local _, err = pcall(task.scope, function(scope)
      scope:spawn_with({ name = name }, job)
    end)
    pause = task.now() - began > 2 and 1 or pause * 2
    log(name .. " failed: " .. tostring(err), "again in " .. pause .. " s")
    task.sleep(pause)
  end
end

task.scope(function(scope)
  scope:spawn_with({ background = true }, supervise, refresh_cache, "refresher")

  scope:spawn(function()
    for i = 1, 4 do
      task.sleep(4)
      log("request " .. i .. " served")
    end
  end)
end)
log("the work is done, the background job has ended with it")
