--- Cutting off the subscriptions that are too slow for their broadcast.
--
-- As many as a script wants, so a preemption may come between any two instructions here.

local subscriptions = require("subscription")

local M = {}

--- End those in `list` that have not ended meanwhile.
---@param list table[] subscriptions
function M.cut_off(list)
  for i = 1, #list do
    if not list[i].ended then
      subscriptions.cut_off(list[i])
    end
  end
end

return M
