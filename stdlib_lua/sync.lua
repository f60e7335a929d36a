--- The script's `sync` library: what tasks that share something need.
--
-- Belongs here: the list. Each kind of object has a file of its own, loaded when the first one is made:
-- opening a runtime should not pay for it. What they have in common is in sync_object.lua. Ideas: trio
-- (queues that hand over, a cancelled wait leaves nothing), Go (wait groups, once), Java (barriers).

local require = require

local M = {}

-- The function `new` of one of our files.
local function maker(file)
  local make
  return function(...)
    make = make or require(file).new
    return make(...) -- a tail call: errors name the script's line
  end
end

M.public = {
  barrier = maker("sync_barrier"),
  condition = maker("sync_condition"),
  event = maker("sync_event"),
  mutex = maker("sync_mutex"),
  once = maker("sync_once"),
  rate_limiter = maker("sync_limiter"),
  rwlock = maker("sync_rwlock"),
  semaphore = maker("sync_semaphore"),
  waitgroup = maker("sync_waitgroup"),
}

return M
