---@meta stream
-- Annotations of the `stream` library for the Lua language server; nothing here runs.

---A stream: values one after the other, made when they are asked for. One stage or one task reads it.
---@class stream.Stream
local Stream = {}

---@class stream.MapOptions
---@field concurrency? integer at most so many in work or waiting to be read; default 1: in the reader's task
---@field ordered? boolean default true: in the order of the source; false: as they are ready

---`fn(value)` in place of each value. Checkpoint: no.
---@param fn fun(value: any): any
---@param options? stream.MapOptions
---@return stream.Stream
function Stream:map(fn, options) end

---Only the values for which `fn(value)` is true. Checkpoint: no.
---@param fn fun(value: any): any
---@return stream.Stream
function Stream:filter(fn) end

---The first `n` values; then the source is closed. Checkpoint: no.
---@param n integer not negative
---@return stream.Stream
function Stream:take(n) end

---Lists of `n` values, with their number in `n`; the last one may be shorter. Checkpoint: no.
---@param n integer at least 1
---@param seconds? number a list ends so long after its first value
---@return stream.Stream
function Stream:batch(n, seconds) end

---The values of this one and of others, as they come. Checkpoint: no.
---@param ... any iterable, at least one
---@return stream.Stream
function Stream:merge(...) end

---Read up to `n` values ahead, in a task of its own. Checkpoint: no.
---@param n integer at least 1
---@return stream.Stream
function Stream:buffer(n) end

---All values. Checkpoint: yes.
---@return table values with their number in `n`
function Stream:collect() end

---Call `fn(value)` for each value. Checkpoint: yes.
---@param fn fun(value: any)
---@return integer count
function Stream:each(fn) end

---`for value in s:iter() do`. Checkpoint: each step.
---@return fun(s: stream.Stream): any
---@return stream.Stream
function Stream:iter() end

---End it: its tasks are cancelled, its source is closed. Also by `<close>`. Checkpoint: no.
---@return boolean first false when it had ended already
function Stream:close() end

---@class streamlib
local stream = {}

---The stream of anything iterable. Checkpoint: no.
---@param iterable any a list, a function and what else a `for` loop takes, a channel, a subscription, a
---stream, or an object with a method `iter`
---@param ... any with a function: state, control and closing value, as for a `for` loop
---@return stream.Stream
function stream.of(iterable, ...) end

return stream
