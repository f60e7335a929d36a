---@meta callback
-- Annotations of the `callback` library for the Lua language server; nothing here runs.

---@class callbacklib
local callback = {}

---Make of a function that waits one that returns at once: `fn_async(..., callback [, errback])` runs
---`fn(...)` as a task and returns an id. Later it calls `callback` with the values, or `errback` with the
---error. Checkpoint: no.
---@param fn fun(...: any): any
---@param count? integer how many arguments are fn's own; nil: all before the last one or two functions
---@return fun(...: any): integer fn_async
function callback.wrap(fn, count) end

---Has a callback of this script not been called yet? Checkpoint: no.
---@return boolean
function callback.has_pending() end

---Let the callbacks run that are ready. They also run whenever the script waits otherwise. Checkpoint:
---yes.
---@return integer ran how many of this script's callbacks have begun meanwhile
function callback.process() end

---Cancel a call: its callbacks will not be called. Checkpoint: no.
---@param id integer
---@return boolean cancelled false when its callback has begun already, or there is no such call
function callback.cancel(id) end

---Make of a function that calls back one that returns a promise. Checkpoint: no.
---@param fn_async fun(...: any)
---@param count? integer how many arguments come before the callback; nil: those of the call
---@return fun(...: any): promise.Promise
function callback.to_promise(fn_async, count) end

---Make of a function that returns a promise one that calls back, as `wrap` does. Checkpoint: no.
---@param fn fun(...: any): promise.Promise
---@param count? integer see `wrap`
---@return fun(...: any): integer fn_async
function callback.from_promise(fn, count) end

return callback
