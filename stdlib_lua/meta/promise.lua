---@meta promise
-- Annotations of the `promise` library for the Lua language server; nothing here runs.

---A value that comes later. Promises/A+ 1.1, with `next` for `then`; a promise may have several values.
---@class promise.Promise
local Promise = {}

---Let `ok(...)` be called with the values, or `err(reason)` with the reason, later, in the current scope.
---What is no function is ignored. Checkpoint: no.
---@param ok? fun(...: any): any
---@param err? fun(reason: any): any
---@return promise.Promise promise of what the handler returns, or of its error
function Promise:next(ok, err) end

---`next(nil, err)`. Checkpoint: no.
---@param err fun(reason: any): any
---@return promise.Promise
function Promise:catch(err) end

---Let `fn()` be called either way. Values or reason pass through, unless `fn` fails; a promise that it
---returns is waited for. Checkpoint: no.
---@param fn fun(): any
---@return promise.Promise
function Promise:finally(fn) end

---Wait for the values; the reason of a rejection is raised, unchanged. Checkpoint: yes; others only run
---when it waits.
---@param timeout? number seconds; nil waits for ever
---@return any ... the values; nil and "timeout" when the promise is pending still
function Promise:await(timeout) end

---How it stands. Checkpoint: no.
---@return "pending"|"fulfilled"|"rejected"
function Promise:status() end

---Cancel. The task of promise.run is cancelled, and the promise rejected when that has ended; any other
---promise is rejected now, and its executor or handler, if under way, cancelled. Checkpoint: no.
---@param reason? string
---@return boolean cancelled false when it was settled already
function Promise:cancel(reason) end

---@class promiselib
promise = {}

---Make a promise of what `executor` says. It runs at once, until its first wait, as a task of its own.
---Checkpoint: no.
---@param executor fun(resolve: fun(...: any), reject: fun(reason: any))
---@return promise.Promise
function promise.new(executor) end

---Run `fn(...)` as a task; its values, or its error, are the promise's. Checkpoint: no.
---@param fn fun(...: any): any
---@param ... any
---@return promise.Promise
function promise.run(fn, ...) end

---A promise that is fulfilled with the value; a promise as it is; of a task or a thenable what becomes of
---it. Checkpoint: no.
---@param value any
---@param ... any
---@return promise.Promise
function promise.resolve(value, ...) end

---A promise that is rejected. Checkpoint: no.
---@param reason any
---@return promise.Promise
function promise.reject(reason) end

---A promise of the array of all first values, in order, with field n; the first rejection rejects it.
---Checkpoint: no.
---@param list any[] promises, tasks, thenables and values
---@return promise.Promise
function promise.all(list) end

---@class promise.Outcome
---@field status "fulfilled"|"rejected"
---@field value any
---@field reason any

---A promise of the array of all outcomes (promise.Outcome), in order, with field n. Checkpoint: no.
---@param list any[] promises, tasks, thenables and values
---@return promise.Promise
function promise.all_settled(list) end

---A promise of the first value; rejected with an error of kind "failures" when all are rejected.
---Checkpoint: no.
---@param list any[] promises, tasks, thenables and values
---@return promise.Promise
function promise.any(list) end

---A promise of what happens first; the others go on. Checkpoint: no.
---@param list any[] promises, tasks, thenables and values, at least one
---@return promise.Promise
function promise.race(list) end

return promise
