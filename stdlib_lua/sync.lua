--- The script's `sync` library: what tasks that share something need.
--
-- Belongs here: the list. Each kind of object has a file of its own; what they have in common is in
-- sync_object.lua. Ideas: trio (queues that hand over, a wait cancelled leaves nothing), Go (wait groups,
-- once), Java (barriers).

local M = {}

M.public = {
  barrier = require("sync_barrier").new,
  condition = require("sync_condition").new,
  event = require("sync_event").new,
  mutex = require("sync_mutex").new,
  once = require("sync_once").new,
  rate_limiter = require("sync_limiter").new,
  rwlock = require("sync_rwlock").new,
  semaphore = require("sync_semaphore").new,
  waitgroup = require("sync_waitgroup").new,
}

return M
