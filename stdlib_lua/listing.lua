--- Listing: the live tasks in order.
--
-- Belongs here: the sorting, which may take long and therefore may be interrupted; that is why it is not
-- the kernel's.

local kernel = require("kernel")

local sort = table.sort

local M = {}

local function earlier(one, other)
  return one.id < other.id
end

--- All live tasks by id. Not a checkpoint.
---@return table list
function M.all()
  local list = kernel.all_tasks()
  sort(list, earlier)
  return list
end

return M
