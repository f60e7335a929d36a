---@meta timer
-- Annotations of the `timer` library for the Lua language server; nothing here runs.

---A call to come, or a row of them: of `timer.after` and `timer.every`.
---@class timer.Timer
---@field task task.Task in which its function runs
local Timer = {}

---No further call. One under way goes on; to end that, too, cancel `timer.task`. Checkpoint: no.
---@return boolean accepted false when there was nothing left to cancel
function Timer:cancel() end

---@class timer.Statistics
---@field ticks integer how often its function was called
---@field missed integer ticks of `every` that came while the function was still running
---@field active boolean calls may follow

---Checkpoint: no.
---@return timer.Statistics
function Timer:statistics() end

---A function that is called often and runs seldom: of `timer.debounce` and `timer.throttle`.
---@class timer.Calls
---@overload fun(...: any)
local Calls = {}

---Forget the call that has not run yet. Checkpoint: no.
---@return boolean accepted false when there was none
function Calls:cancel() end

---@class timer.CallsStatistics
---@field calls integer
---@field runs integer
---@field pending boolean a call has not run yet

---Checkpoint: no.
---@return timer.CallsStatistics
function Calls:statistics() end

---Functions called later, again and again, or not so often. Their tasks belong to the scope that made the
---timer.
---@class timerlib
local timer = {}

---Call `fn(...)` after `seconds`. The scope stays open for it. Checkpoint: no.
---@param seconds number
---@param fn fun(...: any)
---@param ... any its arguments
---@return timer.Timer
function timer.after(seconds, fn, ...) end

---Call `fn(k)` at `seconds`, 2 * `seconds`, ... from now, in a background task, one call at a time. Ticks
---that come while `fn` still runs are skipped and counted. Checkpoint: no.
---@param seconds number more than 0
---@param fn fun(k: integer) gets the number of the tick
---@return timer.Timer
function timer.every(seconds, fn) end

---`fn` runs when no call has come for `seconds`, with the arguments of the last one. Checkpoint: no.
---@param seconds number
---@param fn fun(...: any)
---@return timer.Calls
function timer.debounce(seconds, fn) end

---`fn` runs at the first call and then at most once in `seconds`, with the arguments of the last call.
---Checkpoint: no.
---@param seconds number
---@param fn fun(...: any)
---@return timer.Calls
function timer.throttle(seconds, fn) end

return timer
