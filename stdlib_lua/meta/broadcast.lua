---@meta broadcast
-- Annotations of the `broadcast` library for the Lua language server; nothing here runs.

---A broadcast: every value to everybody who has subscribed.
---@class broadcast.Broadcast
local Broadcast = {}

---Subscribe: from now on every value. It ends at the latest with the scope, or task, that made it.
---Checkpoint: no.
---@return broadcast.Subscription
function Broadcast:subscribe() end

---Send a value; with the policy "wait" waits while the slowest is too far behind. Checkpoint: yes; others
---only run when it waits. Raises an error of kind "closed".
---@param value any nil too
---@return integer subscriptions to how many
function Broadcast:send(value) end

---Send if that needs no wait. Checkpoint: no.
---@param value any
---@return integer|nil subscriptions to how many
---@return "full"|"closed"|nil why
function Broadcast:try_send(value) end

---Nothing can be sent any more; what was sent is received. Senders that wait raise. Checkpoint: no.
---@return boolean first false when it was closed already
function Broadcast:close() end

---@class broadcast.Statistics
---@field buffer number
---@field policy "wait"|"drop_oldest"|"close"
---@field buffered integer values that somebody has yet to receive
---@field subscriptions integer
---@field senders_waiting integer
---@field closed boolean

---Who waits and what lies in it. Checkpoint: no.
---@return broadcast.Statistics
function Broadcast:statistics() end

---@class broadcast.Subscription
local Subscription = {}

---Receive the next value; waits while there is none. Checkpoint: yes; others only run when it waits.
---@return any value nil alone is a nil that was sent
---@return "closed"|"slow"|nil state
---@return integer|nil lost how many values were dropped before this one
function Subscription:receive() end

---Receive if that needs no wait. Checkpoint: no.
---@return any value
---@return "empty"|"closed"|"slow"|nil state
---@return integer|nil lost
function Subscription:try_receive() end

---`for value, lost in sub:iter() do`: until the end. Raises an error of kind "slow" when it was cut off.
---Checkpoint: each step.
---@return fun(sub: broadcast.Subscription): any, integer?
---@return broadcast.Subscription
function Subscription:iter() end

---End it; what it has not received it will not. Also by `<close>`. Checkpoint: no.
---@return boolean first false when it had ended already
function Subscription:close() end

---@class broadcast.SubscriptionStatistics
---@field buffered integer values it has yet to receive
---@field lost integer values it has lost, in all
---@field receivers_waiting integer
---@field closed boolean

---What it has yet to receive. Checkpoint: no.
---@return broadcast.SubscriptionStatistics
function Subscription:statistics() end

---@class broadcast.Options
---@field policy? "wait"|"drop_oldest"|"close" when the slowest is further behind than the buffer: the sender
---waits (default), it loses the oldest value, it is cut off
---@field name? string for reports

---@class broadcastlib
local broadcast = {}

---Make a broadcast. Checkpoint: no.
---@param buffer number how many values it keeps for those who are behind: at least 1; math.huge: any number
---@param options? broadcast.Options
---@return broadcast.Broadcast
function broadcast.new(buffer, options) end

return broadcast
