---@meta event
-- Annotations of the `event` library for the Lua language server; nothing here runs.

---Named events. An event is not remembered: who begins to wait later misses it.
---@class eventlib
event = {}

---Wait until somebody, Lua or Python, emits `name`. Checkpoint: yes.
---@param name string
---@param timeout? number seconds; nil waits for ever
---@return any ... the emitted values, or nil, "timeout"
function event.wait(name, timeout) end

---Wake every task that waits for `name` now, first come first served. Checkpoint: no.
---@param name string
---@param ... any given to every waiter
---@return integer woken how many tasks
function event.emit(name, ...) end

return event
