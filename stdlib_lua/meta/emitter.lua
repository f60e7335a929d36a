---@meta emitter
-- Annotations of the `emitter` library for the Lua language server; nothing here runs.

---A handler that is registered, for `off`.
---@class emitter.Handler

---An emitter: events with handlers. A name has parts between dots. Where one listens, `*` stands for one
---part, a last `**` for one or more.
---@class emitter.Emitter
local Emitter = {}

---Call `fn(...)` with the values of each such event, `fn(name, ...)` where the name has a wildcard: as a task
---of the current scope. Until `off`, or until the scope ends. Checkpoint: no.
---@param name string
---@param fn fun(...)
---@return emitter.Handler
function Emitter:on(name, fn) end

---As `on`, for the first event only. Checkpoint: no.
---@param name string
---@param fn fun(...)
---@return emitter.Handler
function Emitter:once(name, fn) end

---Listen no more; a handler that has begun goes on. Checkpoint: no.
---@param what emitter.Handler|string a handler, or a name: all its handlers, or those that call `fn`
---@param fn? fun(...)
---@return integer removed how many handlers
function Emitter:off(what, fn) end

---Begin the handlers of `name`, in order of their registration, and wake who waits. Checkpoint: no.
---@param name string without wildcards
---@param ... any
---@return integer count of handlers and waiters
function Emitter:emit(name, ...) end

---Wait for the next such event. Checkpoint: yes.
---@param name string
---@param timeout? number seconds; nil waits for ever
---@return any ... its values, behind its name if `name` has a wildcard; or nil, "timeout"
function Emitter:wait(name, timeout) end

---@class emitter.Statistics
---@field names integer that somebody listens to
---@field handlers integer
---@field waiting integer tasks in `wait` or a select

---Who listens. Checkpoint: no.
---@return emitter.Statistics
function Emitter:statistics() end

---@class emitterlib
local emitter = {}

---Make an emitter. Checkpoint: no.
---@param name? string for reports
---@return emitter.Emitter
function emitter.new(name) end

return emitter
