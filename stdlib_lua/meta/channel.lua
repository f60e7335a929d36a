---@meta channel
-- Annotations of the `channel` library for the Lua language server; nothing here runs.

---A channel: values from task to task, first in, first out. One value goes to one receiver.
---@class channel.Channel
local Channel = {}

---Send a value; waits while the channel is full. Checkpoint: yes; others only run when it waits.
---Raises an error of kind "closed" on a closed channel, and when it is closed while the value waits.
---@param value any nil too
---@return true
function Channel:send(value) end

---Send if that needs no wait. Checkpoint: no.
---@param value any
---@return true|nil sent
---@return "full"|"closed"|nil why
function Channel:try_send(value) end

---Receive a value; waits while there is none. Checkpoint: yes; others only run when it waits.
---@return any value nil and "closed" when the channel is closed and empty; nil alone is a nil that was sent
---@return "closed"|nil state
function Channel:receive() end

---Receive if that needs no wait. Checkpoint: no.
---@return any value
---@return "empty"|"closed"|nil state
function Channel:try_receive() end

---`for value in ch:iter() do`: until the channel is closed and empty. Checkpoint: each step.
---@return fun(ch: channel.Channel): any
---@return channel.Channel
function Channel:iter() end

---Nothing can be sent any more; what was sent is received. Senders that wait raise. Checkpoint: no.
---@return boolean first false when it was closed already
function Channel:close() end

---@class channel.Statistics
---@field capacity number
---@field buffered integer
---@field senders_waiting integer
---@field receivers_waiting integer
---@field closed boolean

---Who waits and what lies in it. Checkpoint: no.
---@return channel.Statistics
function Channel:statistics() end

---@class channellib
channel = {}

---Make a channel. Checkpoint: no.
---@param capacity? number how many values it holds without a receiver; 0, the default: a sender waits for a
---receiver; math.huge: any number
---@param name? string for reports
---@return channel.Channel
function channel.new(capacity, name) end

return channel
